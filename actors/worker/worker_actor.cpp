#include "actors/worker/worker_actor.hpp"

#include "actors/errors.hpp"

namespace talaria::worker {

using remo::MaskedTensor;
using remo::WorkerProduct;

void WorkerLedger::count(const MaskedTensor& in, const WorkerProduct& out) {
  std::lock_guard lock(mutex_);
  ++totals_.requests;
  totals_.rows += in.rows;
  totals_.bytes_in += in.bytes->size();
  totals_.bytes_out += out.bytes->size();
  last_ = in;
}

WorkerLedger::Totals WorkerLedger::totals() const {
  std::lock_guard lock(mutex_);
  return totals_;
}

MaskedTensor WorkerLedger::last_seen() const {
  std::lock_guard lock(mutex_);
  return last_;
}

WorkerActor::WorkerActor(caf::actor_config& config, std::shared_ptr<ProductEngine> engine,
                         std::shared_ptr<WorkerLedger> ledger)
    : Worker::extend<caf::reacts_to<MultiplyWaiting>>::base(config), engine_(std::move(engine)),
      ledger_(std::move(ledger)) {}

WorkerActor::behavior_type WorkerActor::make_behavior() {
  return {
      [this](const MaskedTensor& tensor) -> caf::result<WorkerProduct> {
        try {
          engine_->check(tensor);
        } catch (const Error& error) {
          return to_caf(error);
        }
        // Everything that lies in the mailbox by now is put on the list before this message.
        if (waiting_.empty()) send(this, MultiplyWaiting{});
        auto promise = make_response_promise<WorkerProduct>();
        waiting_.push_back({tensor, promise});
        return promise;
      },
      [](const Dispute&) -> caf::result<WorkerProduct> {
        return to_caf(Error(Errc::verification, "there is no other worker to ask"));
      },
      [](const Settled&) {},
      [this](const remo::HintRequest& request) -> caf::result<WorkerProduct> {
        try {
          return engine_->hint_rows(request);
        } catch (const Error& error) {
          return to_caf(error);
        }
      },
      [this](const remo::WeightRequest& request) -> caf::result<remo::WeightPanels> {
        try {
          return engine_->panels(request);
        } catch (const Error& error) {
          return to_caf(error);
        }
      },
      [this](const MultiplyWaiting&) { multiply_waiting(); },
  };
}

/// Promises keep their actor alive: one that is never answered would keep this one for ever.
void WorkerActor::on_exit() {
  for (Waiting& item : std::exchange(waiting_, {}))
    item.promise.deliver(to_caf(Error(Errc::cancelled, "the worker ends")));
}

/// Oldest first; rows of the same matrix join it. Groups stay small: with many rows the product is
/// bound by arithmetic, and joining only delays the first of them.
void WorkerActor::multiply_waiting() {
  constexpr std::size_t kJoinRows = 64;
  std::vector<Waiting> rest = std::exchange(waiting_, {});
  while (!rest.empty()) {
    std::vector<Waiting> group;
    std::vector<Waiting> later;
    std::size_t rows = 0;
    for (Waiting& item : rest) {
      const bool fits = group.empty() || (item.tensor.matrix == group[0].tensor.matrix &&
                                          item.tensor.kind == group[0].tensor.kind &&
                                          rows + item.tensor.rows <= kJoinRows);
      if (fits) rows += item.tensor.rows;
      (fits ? group : later).push_back(std::move(item));
    }
    rest = std::move(later);
    multiply(std::move(group));
  }
}

void WorkerActor::multiply(std::vector<Waiting> group) {
  std::vector<MaskedTensor> tensors;
  for (const Waiting& item : group) tensors.push_back(item.tensor);
  try {
    const std::vector<WorkerProduct> products = engine_->multiply_together(tensors);
    for (std::size_t i = 0; i < group.size(); ++i) {
      ledger_->count(tensors[i], products[i]);
      group[i].promise.deliver(products[i]);
    }
  } catch (const Error& error) {
    for (Waiting& item : group) item.promise.deliver(to_caf(error));
  }
}

Worker spawn_worker(caf::actor_system& system, std::shared_ptr<ProductEngine> engine,
                    std::shared_ptr<WorkerLedger> ledger) {
  return system.spawn<WorkerActor, caf::detached>(std::move(engine), std::move(ledger));
}

} // namespace talaria::worker
