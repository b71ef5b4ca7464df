#include "pipeline/scheduler.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <map>
#include <utility>

#include "actors/actor_end.hpp"
#include "core/constant_time.hpp"
#include "core/declassify.hpp"
#include "pipeline/text_stream.hpp"

namespace talaria::pipeline {

using enclave::SequenceId;

const char* to_string(FinishReason reason) noexcept {
  switch (reason) {
  case FinishReason::stop:
    return "stop";
  case FinishReason::length:
    return "length";
  case FinishReason::cancelled:
    return "cancelled";
  case FinishReason::error:
    return "error";
  }
  return "error";
}

namespace {

using Clock = std::chrono::steady_clock;

struct Active {
  std::shared_ptr<const Request> request;
  std::shared_ptr<RequestSink> sink;
  TextStream stream;
  std::string unsent;                ///< text of the tokens of this round
  std::size_t accepted = 0;          ///< drafts of this round, so far
  DraftKind kind = DraftKind::ngram; ///< of these
  Completion completion;
  Clock::time_point submitted;
  Clock::time_point first_token;
  Clock::time_point last_token;
  std::optional<Clock::time_point> started; ///< when its first row was sent
};

double seconds(Clock::time_point a, Clock::time_point b) {
  return std::chrono::duration<double>(b - a).count();
}

/// Looks at all of them. That an answer ends here is seen by everyone.
bool is_one_of(const std::vector<u32>& ends, u32 token) {
  u32 found = 0;
  for (const u32 end : ends) found |= constant_time::equal(end, token);
  return declassified(found) != 0;
}

Timings timings_of(const Active& active) {
  Timings t;
  if (active.completion.tokens.empty()) return t;
  const double to_first = seconds(active.submitted, active.first_token);
  t.ttft_ms = to_first * 1e3;
  t.queue_ms = seconds(active.submitted, active.started.value_or(active.submitted)) * 1e3;
  t.decode_ms = seconds(active.first_token, active.last_token) * 1e3;
  t.prefill_tokens_per_s = static_cast<double>(active.request->prompt.size()) / to_first;
  const auto decoded = static_cast<double>(active.completion.tokens.size() - 1);
  if (decoded > 0) t.decode_tokens_per_s = decoded / (t.decode_ms / 1e3);
  return t;
}

/// The scheduler's state and rules; the actor below only dispatches messages to it.
class SchedulerState {
public:
  SchedulerState(Scheduler::pointer self, SchedulerOptions options)
      : self_(self), options_(std::move(options)),
        planner_(options_.limits, options_.padding, options_.kv, options_.prefixes) {
    if (options_.tracer != nullptr) track_ = options_.tracer->track("enclave", "requests");
  }

  void wire(const Wiring& wiring) {
    wiring_ = wiring;
    dispatch();
  }

  void submit(const Submit& submit) {
    for_request(submit.sequence, [&] { admit(submit); });
    dispatch();
  }

  void sampled(const enclave::Sampled& sampled) {
    retire(sampled.micro_batch);
    for (const auto& logits : sampled.logits)
      for_request(logits.sequence, [&] { deliver_logits(logits); });
    for (const auto& scores : sampled.prompt_scores)
      for_request(scores.sequence, [&] { take_prompt_scores(scores); });
    for (const auto& pooled : sampled.pooled)
      for_request(pooled.sequence, [&] { take_pooled(pooled); });
    for (const auto& choice : sampled.choices)
      for_request(choice.sequence, [&] { take_token(choice); });
    for (const auto& choice : sampled.choices)
      for_request(choice.sequence, [&] { end_round(choice.sequence); });
    for (const SequenceId id : sampled.failed)
      finish(id, FinishReason::error,
             Error(Errc::internal, "the answer has numbers that are not finite: no token could be "
                                   "chosen, or no vector made"));
    dispatch();
  }

  void failed(const enclave::Failure& failure) {
    end_all_in(failure.micro_batch, Error(failure.code, failure.message));
    dispatch();
  }

  void cancel(SequenceId id) {
    finish(id, FinishReason::cancelled, std::nullopt);
    dispatch();
  }

  void cancel_all() {
    while (!active_.empty()) finish(active_.begin()->first, FinishReason::cancelled, std::nullopt);
    for (const SequenceId id : planner_.drop_dummies()) let_go(id);
    tell_if_idle();
  }

  void drain(const Drain& asked) {
    waiting_for_idle_.push_back(asked.idle);
    tell_if_idle();
  }

  void tick() {
    tick_is_set_ = false;
    send_ready();
  }

  void drafted(const Drafted& drafted) {
    for (const DraftAnswer& answer : drafted.answers) planner_.guessed(answer);
    dispatch();
  }

private:
  /// Work for one request. An exception of its decoder, its stop strings, its sink or the lack of
  /// memory ends this request and no other. The text of the exception may show the answer.
  template <class Work>
  void for_request(SequenceId id, Work&& work) {
    std::string kind;
    try {
      return std::forward<Work>(work)();
    } catch (...) {
      kind = kind_of(std::current_exception());
    }
    finish(id, FinishReason::error,
           Error(Errc::internal, "an exception ended this request: " + kind));
  }

  void admit(const Submit& submit) {
    const Request& request = *submit.request;
    const auto now = Clock::now();
    Active& active = active_
                         .emplace(submit.sequence, Active{submit.request,
                                                          submit.sink,
                                                          TextStream(),
                                                          {},
                                                          0,
                                                          DraftKind::ngram,
                                                          {},
                                                          now,
                                                          now,
                                                          now,
                                                          {}})
                         .first->second;
    if (options_.tokenizer)
      active.stream = TextStream(*options_.tokenizer, request.stops,
                                 request.skip_special ? options_.token_table : nullptr,
                                 {request.with_stop, request.skip_special});
    const bool sample = request.max_tokens > 0;
    length_of_[submit.sequence] = static_cast<u32>(request.prompt.size());
    if (request.adapter) adapter_of_[submit.sequence] = request.adapter;
    const auto logits = request.scores.prompt ? LogitsWanted::all
                        : request.pooled      ? rows_to_pool()
                                              : request.logits;
    planner_.add(submit.sequence, request.prompt, sample, logits, request.max_tokens,
                 kv::PrefixOwner(request.owner, request.adapter == nullptr),
                 request.drafts.value_or(options_.limits.drafts));
    if (sample || request.pooled || request.scores.any()) {
      enclave::Enrol enrol;
      enrol.sequence = submit.sequence;
      enrol.sampling = request.sampling;
      enrol.prompt = request.prompt;
      enrol.scores = request.scores;
      enrol.grammar = request.grammar;
      enrol.max_tokens = request.max_tokens;
      enrol.dimensions = request.dimensions;
      self_->send(wiring_.sampler, std::move(enrol));
    }
  }

  LogitsWanted rows_to_pool() const {
    return options_.pooling == model::PoolingKind::mean ? LogitsWanted::all : LogitsWanted::last;
  }

  void end_all_in(u64 micro_batch, const Error& error) {
    const auto carried = planner_.retire_failed(micro_batch);
    for (const SequenceId id : settled(micro_batch, carried)) {
      planner_.remove(id); // its dummies end too, so that an answer's end does not show by it
      finish(id, FinishReason::error, error);
      if (lingering_.contains(id)) let_go(id);
    }
  }

  /// Sends micro-batches until enough are in flight, or sees to it that the next tick does.
  void dispatch() {
    tell_if_idle();
    order_drafts();
    const auto pace = options_.padding.pace;
    if (pace.count() == 0) return send_ready();
    if (tick_is_set_ || !planner_.ready()) return;
    tick_is_set_ = true;
    const auto since_tick = (Clock::now() - first_tick_) % pace;
    self_->delayed_send(self_, pace - since_tick, Tick{});
  }

  void order_drafts() {
    OrderDrafts asked;
    asked.orders = planner_.draft_orders();
    if (!asked.orders.empty()) self_->send(wiring_.drafter, std::move(asked));
  }

  void tell_if_idle() {
    if (!planner_.idle()) return;
    for (const auto& promise : waiting_for_idle_) promise->set_value();
    waiting_for_idle_.clear();
  }

  void send_ready() {
    while (auto plan = next()) {
      const u64 id = plan->id;
      try {
        send(*std::move(plan));
      } catch (const std::exception&) {
        end_all_in(id, Error(Errc::internal, "a micro-batch could not be made: " +
                                                 kind_of(std::current_exception())));
      }
    }
  }

  std::optional<enclave::MicroBatch> next() {
    auto plan = planner_.next();
    for (const SequenceId parked : planner_.take_parked()) {
      tell_attention<enclave::Forget>(parked);
      options_.preemptions->fetch_add(1);
    }
    options_.kv_queue->store(planner_.waiting_for_memory());
    return plan;
  }

  void send(enclave::MicroBatch plan) {
    for (auto& segment : plan.segments) {
      segment.trace = trace_of(segment.sequence);
      segment.length = length_of_.at(segment.sequence);
      if (const auto own = adapter_of_.find(segment.sequence); own != adapter_of_.end())
        segment.adapter = own->second;
      note_start(segment.sequence);
      note_drafts(segment);
    }
    u32 dummy_rows = 0;
    for (const auto& segment : plan.segments) dummy_rows += segment.dummy ? segment.count : 0;
    options_.ledger->sent(plan.rows, plan.padding + dummy_rows, planner_.dummy_rounds(plan.id));
    if (options_.padding.pace.count() > 0) sent_at_.emplace(plan.id, Clock::now());
    enclave::Admit admit;
    admit.batch = std::make_shared<const enclave::MicroBatch>(std::move(plan));
    if (telemetry::tracing(options_.tracer)) admit.sent = Clock::now();
    self_->send(wiring_.entrance, std::move(admit));
  }

  /// Takes a micro-batch off the list; sequences that ended earlier may now be forgotten.
  std::vector<SequenceId> retire(u64 micro_batch) {
    return settled(micro_batch, planner_.retire(micro_batch));
  }

  std::vector<SequenceId> settled(u64 micro_batch, std::vector<SequenceId> carried) {
    const auto sent = sent_at_.extract(micro_batch);
    if (!sent.empty() && Clock::now() - sent.mapped() > options_.padding.pace)
      options_.ledger->late();
    for (const SequenceId id : carried)
      if (lingering_.contains(id) && !planner_.has_dummy_rounds(id) && !planner_.under_way(id))
        let_go(id);
    return carried;
  }

  void note_start(SequenceId id) {
    const auto it = active_.find(id);
    if (it != active_.end() && !it->second.started) it->second.started = Clock::now();
  }

  /// Drafts behind the last token that the answer may have are not kept, nor those behind the one
  /// with which all tokens so far get other frequencies.
  void note_drafts(enclave::Segment& segment) {
    const auto it = active_.find(segment.sequence);
    if (segment.drafts == 0 || it == active_.end()) return;
    const Request& request = *it->second.request;
    const auto answered = static_cast<u32>(it->second.completion.tokens.size());
    segment.acceptable = std::min(segment.drafts, request.max_tokens - answered - 1);
    const u32 length = request_tokens(it->second);
    if (options_.original_length != 0 && !grows_beyond(length))
      segment.acceptable = std::min(segment.acceptable, options_.original_length - length);
    it->second.kind = planner_.draft_kind(segment.sequence);
    options_.drafts->sent(segment.drafts, it->second.kind);
  }

  u64 trace_of(SequenceId id) const {
    const auto it = active_.find(id);
    return it == active_.end() ? lingering_.at(id) : it->second.request->trace;
  }

  template <class Message>
  void tell_attention(SequenceId id) {
    Message message;
    message.sequence = id;
    for (const auto& attention : wiring_.attention) self_->send(attention, message);
  }

  void deliver_logits(const enclave::Sampled::Logits& logits) {
    const auto it = active_.find(logits.sequence);
    if (it == active_.end()) return;
    it->second.sink->logits(logits.start, logits.rows->view());
    const Request& request = *it->second.request;
    if (request.max_tokens == 0 && logits.start + logits.rows->rows() == request.prompt.size())
      finish(logits.sequence, FinishReason::length, std::nullopt);
  }

  void take_prompt_scores(const enclave::Sampled::PromptScores& part) {
    const auto it = active_.find(part.sequence);
    if (it == active_.end()) return;
    auto& scores = it->second.completion.prompt_scores;
    scores.insert(scores.end(), part.scores.begin(), part.scores.end());
    const Request& request = *it->second.request;
    if (request.max_tokens == 0 && part.end == request.prompt.size())
      finish(part.sequence, FinishReason::length, std::nullopt);
  }

  void take_pooled(const enclave::Sampled::Pooled& pooled) {
    const auto it = active_.find(pooled.sequence);
    if (it == active_.end()) return;
    it->second.completion.pooled = pooled.values;
    finish(pooled.sequence, FinishReason::stop, std::nullopt);
  }

  void take_token(const enclave::Sampled::Choice& choice) {
    const auto& [id, token, scores, was_drafted] = choice;
    const auto it = active_.find(id);
    if (it == active_.end()) return; // cancelled while its row was in flight, or just over
    Active& active = it->second;
    if (was_drafted) options_.drafts->accepted(active.accepted++, active.kind);
    active.last_token = Clock::now();
    if (active.completion.tokens.empty()) active.first_token = active.last_token;
    active.completion.tokens.push_back(token);
    active.sink->token();
    const bool ends = !active.request->ignore_eos && is_one_of(options_.eos, token);
    const bool stops = !ends && is_one_of(active.request->stop_tokens, token);
    if (stops) active.completion.ended_by_token = token;
    if ((ends || stops) && !active.request->with_stop)
      return finish(id, FinishReason::stop, std::nullopt);
    if (scores) active.completion.scores.push_back(*scores);
    active.sink->chosen(token, scores ? &*scores : nullptr);
    emit(active, active.stream.push(token));
    active.completion.ended_by = active.stream.stopped_by();
    if (ends || stops || active.stream.stopped())
      return finish(id, FinishReason::stop, std::nullopt);
    if (active.completion.tokens.size() >= active.request->max_tokens)
      return finish(id, FinishReason::length, std::nullopt);
    planner_.append(id, token, was_drafted);
    const u32 length = request_tokens(active);
    if (grows_beyond(length) && !grows_beyond(length_of_.at(id))) {
      length_of_[id] = length;
      tell_attention<enclave::Forget>(id);
      planner_.restart(id);
    }
  }

  static u32 request_tokens(const Active& active) {
    return static_cast<u32>(active.request->prompt.size() + active.completion.tokens.size());
  }
  bool grows_beyond(u32 tokens) const {
    return options_.original_length != 0 && tokens > options_.original_length;
  }

  static void emit(Active& active, const std::string& piece) {
    active.completion.text += piece;
    active.unsent += piece;
  }

  static void send_text(Active& active) {
    const std::string text = std::exchange(active.unsent, {});
    if (!text.empty()) active.sink->text(text);
  }

  /// All tokens of a round have been taken.
  void end_round(SequenceId id) {
    const auto it = active_.find(id);
    if (it == active_.end()) return;
    it->second.accepted = 0;
    send_text(it->second);
  }

  void finish(SequenceId id, FinishReason reason, std::optional<Error> error) {
    auto node = active_.extract(id);
    if (node.empty()) return;
    Active& active = node.mapped();
    active.completion.cached_tokens = planner_.cached_tokens(id);
    leave(id, active.request->trace);
    active.completion.reason = reason;
    active.completion.error = std::move(error);
    try {
      emit(active, active.stream.finish());
      send_text(active);
    } catch (...) {
      active.completion.reason = FinishReason::error;
      if (!active.completion.error)
        active.completion.error = Error(Errc::internal, "an exception ended this request: " +
                                                            kind_of(std::current_exception()));
    }
    active.completion.timings = timings_of(active);
    active.completion.trace = active.request->trace;
    if (telemetry::tracing(options_.tracer)) record(active);
    try {
      active.sink->finished(std::move(active.completion));
    } catch (...) { // it has been told; what it makes of that is not for the others to suffer
    }
  }

  /// The answer is over. Its dummy rounds go on as it did, with its keys, values and
  /// sampler; after them, and under padding also after rows that are under way, it is let go.
  void leave(SequenceId id, u64 trace) {
    planner_.end(id);
    lingering_.emplace(id, trace);
    const bool passes = options_.padding.is_on() && planner_.under_way(id);
    if (!planner_.has_dummy_rounds(id) && !passes) let_go(id);
  }

  /// The stages forget a sequence that sends no more rows, at once or when none is under way.
  void let_go(SequenceId id) {
    enclave::Forget forget;
    forget.sequence = id;
    self_->send(wiring_.sampler, forget);
    if (wiring_.drafter) self_->send(wiring_.drafter, forget);
    if (planner_.under_way(id)) return tell_attention<enclave::Abandon>(id);
    tell_attention<enclave::Forget>(id);
    lingering_.erase(id);
    length_of_.erase(id);
    adapter_of_.erase(id);
  }

  void record(const Active& active) {
    telemetry::SpanLabels labels;
    labels.trace = active.request->trace;
    labels.rows = static_cast<u32>(active.request->prompt.size());
    labels.tokens = static_cast<u32>(active.completion.tokens.size());
    options_.tracer->record(track_, telemetry::SpanKind::request, active.submitted, Clock::now(),
                            labels);
  }

  Scheduler::pointer self_;
  SchedulerOptions options_;
  telemetry::Tracer::Track track_ = 0;
  BatchPlanner planner_;
  Wiring wiring_;
  std::map<SequenceId, Active> active_;
  std::map<SequenceId, u32> length_of_; ///< enclave::Segment::length, until it is let go
  std::map<SequenceId, std::shared_ptr<const model::Adapter>> adapter_of_; ///< the same
  std::map<SequenceId, u64>
      lingering_; ///< over, and not let go yet; the trace ids of their requests
  bool tick_is_set_ = false;
  Clock::time_point first_tick_ = Clock::now();
  std::map<u64, Clock::time_point> sent_at_; ///< paced micro-batches in flight
  std::vector<std::shared_ptr<std::promise<void>>> waiting_for_idle_;
};

Scheduler::behavior_type scheduler(Scheduler::pointer self, SchedulerOptions options) {
  name_exceptions_by_kind(self);
  auto state = std::make_shared<SchedulerState>(self, std::move(options));
  return {[state](const Wiring& wiring) { state->wire(wiring); },
          [state](const Submit& submit) { state->submit(submit); },
          [state](const Cancel& cancel) { state->cancel(cancel.sequence); },
          [state](const CancelAll&) { state->cancel_all(); },
          [state](const Drain& asked) { state->drain(asked); },
          [state](const Tick&) { state->tick(); },
          [state](const Drafted& drafted) { state->drafted(drafted); },
          [state](const enclave::Sampled& sampled) { state->sampled(sampled); },
          [state](const enclave::Failure& failure) { state->failed(failure); }};
}

} // namespace

Scheduler spawn_scheduler(caf::actor_system& system, SchedulerOptions options) {
  return system.spawn(scheduler, std::move(options));
}

} // namespace talaria::pipeline
