#include "actors/worker/worker_actor.hpp"

#include "actors/errors.hpp"
#include "core/wall_clock.hpp"

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
                         std::shared_ptr<WorkerLedger> ledger, WorkerTrace trace)
    : WorkerInside::base(config), engine_(std::move(engine)), ledger_(std::move(ledger)),
      trace_(trace) {}

WorkerActor::behavior_type WorkerActor::make_behavior() {
  return {
      [this](const MaskedTensor& tensor) -> caf::result<WorkerProduct> {
        try {
          auto promise = make_response_promise<WorkerProduct>();
          put_on_the_list(tensor, [promise](Reply reply) mutable {
            if (auto* product = std::get_if<WorkerProduct>(&reply))
              promise.deliver(std::move(*product));
            else
              promise.deliver(to_caf(std::get<Error>(reply)));
          });
          return promise;
        } catch (const Error& error) {
          return to_caf(error);
        }
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
      [this](const Incoming& incoming) { take(incoming); },
      [this](const MultiplyWaiting&) { multiply_waiting(); },
  };
}

void WorkerActor::put_on_the_list(const MaskedTensor& tensor, AnswerTo answer) {
  engine_->check(tensor);
  // Everything that lies in the mailbox by now is put on the list before this message.
  if (waiting_.empty()) send(this, MultiplyWaiting{});
  waiting_.push_back({tensor, std::move(answer)});
  if (tensor.received == 0) waiting_.back().tensor.received = wall_ns();
}

void WorkerActor::take(const Incoming& incoming) {
  try {
    if (const auto* tensor = std::get_if<MaskedTensor>(&incoming.question))
      put_on_the_list(*tensor, incoming.answer);
    else if (const auto* hint = std::get_if<remo::HintRequest>(&incoming.question))
      incoming.answer(engine_->hint_rows(*hint));
    else
      incoming.answer(engine_->panels(std::get<remo::WeightRequest>(incoming.question)));
  } catch (const Error& error) {
    incoming.answer(error);
  }
}

/// Promises keep their actor alive: one that is never answered would keep this one for ever.
void WorkerActor::on_exit() {
  for (Waiting& item : std::exchange(waiting_, {}))
    item.answer(Error(Errc::cancelled, "the worker ends"));
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
  u32 rows = 0;
  for (const MaskedTensor& tensor : tensors) rows += tensor.rows;
  try {
    const i64 started = wall_ns();
    std::vector<WorkerProduct> products = engine_->multiply_together(tensors, trace_.phases);
    const i64 finished = wall_ns();
    for (std::size_t i = 0; i < group.size(); ++i) {
      products[i].timing = {tensors[i].received, started, finished, rows};
      ledger_->count(tensors[i], products[i]);
      if (trace_.tracer != nullptr) trace(tensors[i], products[i]);
      group[i].answer(products[i]);
    }
  } catch (const Error& error) {
    for (Waiting& item : group) item.answer(error);
  }
}

void WorkerActor::trace(const MaskedTensor& tensor, const WorkerProduct& product) const {
  using telemetry::SpanKind;
  telemetry::SpanLabels labels;
  labels.trace = tensor.mark.id;
  labels.micro_batch = tensor.mark.micro_batch;
  labels.rows = tensor.rows;
  labels.matrix = tensor.matrix;
  const auto& timing = product.timing;
  const auto started = trace_.tracer->at_wall(timing.started);
  trace_.tracer->record(trace_.queue, SpanKind::queue, trace_.tracer->at_wall(timing.received),
                        started, labels);
  labels.joined_rows = timing.joined_rows;
  labels.bytes_up = tensor.bytes->size();
  labels.bytes_down = product.bytes->size();
  trace_.tracer->record(trace_.product, SpanKind::product, started,
                        trace_.tracer->at_wall(timing.finished), labels);
}

WorkerTrace worker_trace(telemetry::Tracer* tracer, const std::string& name) {
  if (tracer == nullptr) return {};
  return {tracer,
          tracer->track(name, "queue"),
          tracer->track(name, "product"),
          {tracer, tracer->track(name, "copy"), tracer->track(name, "switching")}};
}

WorkerInside spawn_worker(caf::actor_system& system, std::shared_ptr<ProductEngine> engine,
                          std::shared_ptr<WorkerLedger> ledger, WorkerTrace trace) {
  return system.spawn<WorkerActor, caf::detached>(std::move(engine), std::move(ledger), trace);
}

} // namespace talaria::worker
