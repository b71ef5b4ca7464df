#include "actors/worker/worker_actor.hpp"

#include <algorithm>
#include <thread>
#include <utility>

#include "actors/errors.hpp"
#include "actors/tensor_labels.hpp"
#include "core/wall_clock.hpp"

namespace talaria::worker {

using remo::MaskedTensor;
using remo::WorkerProduct;

/// With mutex_.
WorkerLedger::Totals& WorkerLedger::account_of(const EnclaveId& enclave) {
  if (accounts_.size() >= kEnclaves && !accounts_.contains(enclave))
    accounts_.erase(
        std::min_element(accounts_.begin(), accounts_.end(), [](const auto& a, const auto& b) {
          return a.second.last_use < b.second.last_use;
        }));
  Account& account = accounts_[enclave];
  account.last_use = ++uses_;
  return account.totals;
}

void WorkerLedger::count(const EnclaveId& enclave, u64 multiplications, const MaskedTensor& in,
                         const WorkerProduct& out) {
  std::lock_guard lock(mutex_);
  for (Totals* totals : {&totals_, &account_of(enclave)}) {
    ++totals->requests;
    totals->rows += in.rows;
    totals->bytes_in += in.bytes->size();
    totals->bytes_out += out.bytes->size();
    totals->multiplications += multiplications;
  }
  last_ = in;
}

void WorkerLedger::count(const EnclaveId& enclave, u64 multiplications) {
  std::lock_guard lock(mutex_);
  for (Totals* totals : {&totals_, &account_of(enclave)})
    totals->multiplications += multiplications;
}

std::map<EnclaveId, WorkerLedger::Totals> WorkerLedger::by_enclave() const {
  std::lock_guard lock(mutex_);
  std::map<EnclaveId, Totals> all;
  for (const auto& [enclave, account] : accounts_) all.emplace(enclave, account.totals);
  return all;
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
                         std::shared_ptr<WorkerLedger> ledger, WorkerTrace trace,
                         TellDeviceLost lost)
    : WorkerInside::base(config), engine_(std::move(engine)), ledger_(std::move(ledger)),
      trace_(trace), lost_(std::move(lost)) {}

WorkerActor::behavior_type WorkerActor::make_behavior() {
  return {
      [this](const MaskedTensor& tensor) -> caf::result<WorkerProduct> {
        try {
          auto promise = make_response_promise<WorkerProduct>();
          enqueue_tensor(tensor,
                         [promise](Reply reply) mutable {
                           if (auto* product = std::get_if<WorkerProduct>(&reply))
                             promise.deliver(std::move(*product));
                           else
                             promise.deliver(to_caf(std::get<Error>(reply)));
                         },
                         {});
          return promise;
        } catch (const Error& error) {
          return to_caf(error);
        }
      },
      [](const Dispute&) -> caf::result<WorkerProduct> {
        return to_caf(Error(Errc::verification, "there is no other worker to ask"));
      },
      [this](const remo::HintRequest& request) -> caf::result<WorkerProduct> {
        try {
          return engine_->hint_rows(request);
        } catch (const Error& error) {
          look_at(error);
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

void WorkerActor::enqueue_tensor(const MaskedTensor& tensor, AnswerTo answer,
                                 const EnclaveId& enclave) {
  engine_->check(tensor);
  Waiting waiting{enclave, tensor, std::move(answer)};
  auto& kept = std::get<MaskedTensor>(waiting.question);
  if (kept.received == 0) kept.received = wall_ns();
  wait_in_line(std::move(waiting));
}

void WorkerActor::wait_in_line(Waiting waiting) {
  waiting.cost = std::max<u64>(cost_of(waiting.question), 1);
  waiting_.push(std::move(waiting));
  schedule_drain();
}

u64 WorkerActor::cost_of(const Question& question) const {
  const auto area = [this](u32 matrix) {
    const auto& columns = engine_->linear(matrix).columns;
    return u64{columns.d_in()} * columns.d_out();
  };
  if (const auto* tensor = std::get_if<MaskedTensor>(&question))
    return tensor->rows * area(tensor->matrix);
  if (const auto* hint = std::get_if<remo::HintRequest>(&question))
    return hint->count * area(hint->matrix);
  const auto& weights = std::get<remo::WeightRequest>(question); // read once, as for one row
  return u64{weights.count} * kernels::PackedWeights::kPanel *
         engine_->linear(weights.matrix).columns.d_in();
}

void WorkerActor::schedule_drain() {
  // Everything that lies in the mailbox by now is enqueued before this message.
  if (!std::exchange(drain_scheduled_, true)) send(this, MultiplyWaiting{});
}

void WorkerActor::take(const Incoming& incoming) {
  try {
    if (const auto* tensor = std::get_if<MaskedTensor>(&incoming.question))
      enqueue_tensor(*tensor, incoming.answer, incoming.enclave);
    else
      wait_in_line({incoming.enclave, incoming.question, incoming.answer});
  } catch (const Error& error) {
    incoming.answer(error);
  }
}

void WorkerActor::answer_at_once(Waiting item) {
  try {
    if (const auto* hint = std::get_if<remo::HintRequest>(&item.question)) {
      auto rows = engine_->hint_rows(*hint);
      ledger_->count(item.enclave, item.cost);
      item.answer(std::move(rows));
    } else {
      item.answer(engine_->panels(std::get<remo::WeightRequest>(item.question)));
    }
  } catch (const Error& error) {
    look_at(error);
    item.answer(error);
  }
}

/// Promises keep their actor alive: one that is never answered would keep this one for ever.
void WorkerActor::on_exit() {
  for (UnderWay& product : std::exchange(under_way_, {}))
    for (Waiting& item : product.group) item.answer(Error(Errc::cancelled, "the worker ends"));
  for (Waiting& item : waiting_.take_all()) item.answer(Error(Errc::cancelled, "the worker ends"));
}

void WorkerActor::multiply_waiting() {
  constexpr int kLooks = 32; // some ten microseconds, then the mailbox may hold more to begin
  drain_scheduled_ = false;
  while (!waiting_.empty() && under_way_.size() < engine_->max_under_way()) {
    std::vector<Waiting> group = waiting_.take();
    if (std::holds_alternative<MaskedTensor>(group.front().question)) {
      begin(std::move(group));
    } else {
      answer_at_once(std::move(group.front()));
      break; // it took long: others may have come
    }
  }
  if (!under_way_.empty()) {
    bool ready = is_ready(under_way_.front());
    for (int i = 1; i < kLooks && !ready; ++i) {
      std::this_thread::yield();
      ready = is_ready(under_way_.front());
    }
    if (ready) {
      UnderWay first = std::move(under_way_.front());
      under_way_.pop_front();
      finish(std::move(first));
    }
  }
  if (!waiting_.empty() || !under_way_.empty()) schedule_drain();
}

void WorkerActor::begin(std::vector<Waiting> group) {
  UnderWay item;
  item.group = std::move(group);
  std::vector<MaskedTensor> tensors;
  for (const Waiting& waiting : item.group) {
    tensors.push_back(std::get<MaskedTensor>(waiting.question));
    item.rows += tensors.back().rows;
  }
  item.started = wall_ns();
  try {
    item.products = engine_->begin(tensors, trace_.phases);
    under_way_.push_back(std::move(item));
  } catch (const Error& error) {
    answer(item.group, error);
  }
}

void WorkerActor::answer(std::vector<Waiting>& group, const Error& error) {
  look_at(error);
  for (Waiting& waiting : group) waiting.answer(error);
}

void WorkerActor::look_at(const Error& error) {
  if (lost_ && dynamic_cast<const kernels::cuda::DeviceLost*>(&error) != nullptr)
    std::exchange(lost_, {})(error);
}

/// A device that failed counts as ready: finish() will say why.
bool WorkerActor::is_ready(const UnderWay& item) {
  try {
    return item.products.ready();
  } catch (const Error&) {
    return true;
  }
}

void WorkerActor::finish(UnderWay item) {
  try {
    std::vector<WorkerProduct> products = item.products.finish();
    const i64 finished = wall_ns();
    for (std::size_t i = 0; i < item.group.size(); ++i) {
      const auto& tensor = std::get<MaskedTensor>(item.group[i].question);
      products[i].timing = {tensor.received, item.started, finished, item.rows};
      ledger_->count(item.group[i].enclave, item.group[i].cost, tensor, products[i]);
      if (telemetry::tracing(trace_.tracer)) trace(tensor, products[i]);
      item.group[i].answer(products[i]);
    }
  } catch (const Error& error) {
    answer(item.group, error);
  }
}

void WorkerActor::trace(const MaskedTensor& tensor, const WorkerProduct& product) const {
  using telemetry::SpanKind;
  telemetry::SpanLabels labels = labels_of(tensor);
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
          tracer->track(name, "pack"),
          {tracer, tracer->track(name, "copy"), tracer->track(name, "recombine")}};
}

WorkerInside spawn_worker(caf::actor_system& system, std::shared_ptr<ProductEngine> engine,
                          std::shared_ptr<WorkerLedger> ledger, WorkerTrace trace,
                          TellDeviceLost lost) {
  return system.spawn<WorkerActor>(std::move(engine), std::move(ledger), trace, std::move(lost));
}

} // namespace talaria::worker
