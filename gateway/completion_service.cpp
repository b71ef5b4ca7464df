#include "gateway/completion_service.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>

#include "gateway/engine_requests.hpp"
#include "gateway/event_stream.hpp"
#include "gateway/event_text.hpp"
#include "gateway/readiness.hpp"
#include "telemetry/trace_id.hpp"

namespace talaria::gateway {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kSlice{100}; // between two looks at client and shutdown
// How long an error can still become the status of a streamed response. Later it comes as an event:
// clients and proxies do not wait for headers for ever.
constexpr std::chrono::seconds kHeadersAtLast{2};
constexpr std::chrono::seconds kLongestSilence{10}; // proxies cut connections that say nothing

/// Thrown through a handler whose client is no longer there; the response reaches nobody.
ApiError client_left() {
  return {499, "the client left"};
}

double seconds_between(Clock::time_point start, Clock::time_point end) {
  return std::chrono::duration<double>(end - start).count();
}

double seconds_since(Clock::time_point start) {
  return seconds_between(start, Clock::now());
}

ApiError queue_full(std::size_t waiting) {
  return ApiError(429, fmt::format("{} requests wait already; try again later", waiting), {},
                  "queue_full");
}

/// "1.2s", "6m0s", as OpenAI writes durations in headers.
std::string duration_text(double seconds) {
  if (seconds < 60) return fmt::format("{:.1f}s", seconds);
  const auto whole = static_cast<u64>(seconds);
  return fmt::format("{}m{}s", whole / 60, whole % 60);
}

/// OpenAI's headers, for the limits that there are.
void set_limit_headers(const Limits::Visit& visit, HttpResponse& response) {
  const ClientLimits& limits = visit.client().limits;
  const auto left = visit.left();
  if (limits.requests != 0) {
    response.set_header("x-ratelimit-limit-requests", std::to_string(limits.requests));
    response.set_header("x-ratelimit-remaining-requests", std::to_string(left.requests));
  }
  if (limits.tokens_per_minute == 0) return;
  response.set_header("x-ratelimit-limit-tokens", std::to_string(limits.tokens_per_minute));
  response.set_header("x-ratelimit-remaining-tokens", std::to_string(left.tokens));
  response.set_header("x-ratelimit-reset-tokens", duration_text(left.reset_s));
}

} // namespace

/// One request until its response is complete: first it waits for a place, then its answers are
/// made. Lives on the thread that serves the connection, inside the exchange.
class CompletionService::Answering {
public:
  /// @throws Admission::Full
  Answering(CompletionService& service, bool chat, Prepared prepared,
            std::optional<ReceiptDraft> receipt)
      : service_(service), exchange_(Httpd::exchange()), request_(std::move(prepared.request)),
        receipt_(std::move(receipt)), prompts_(std::move(prepared.prompts)),
        grammar_(std::move(prepared.grammar)), texts_(std::move(prepared.texts)),
        stream_(ResponseFormat(shape_of(chat)), service.options_.stream.pace, Clock::now()) {
    for (const auto& each : prompts_) usage_.prompt_tokens += each.size();
    if (receipt_) receipt_->asked(request_, prompts_);
    if (request_.tools.expected)
      finders_.resize(prompts_.size() * request_.choices,
                      ToolCallFinder(tool_syntax(), request_.tools.parallel));
    times_ = std::make_shared<TokenTimes>(prompts_.size() * request_.best_of,
                                          service.metrics_.between_tokens());
    live_ = service.requests_.enter(line());
    generation_.emplace(service.engine_, service.admission_, exchange_.visit->client().name,
                        engine_requests(), request_.stream, times_);
    note_submission();
  }
  ~Answering() {
    account();
    sign_cut();
  }
  Answering(const Answering&) = delete;
  Answering& operator=(const Answering&) = delete;

  /// The whole body. @throws ApiError if the answer failed, or nobody waits for it any more.
  void whole(HttpResponse& response) {
    while (!generation_->over()) {
      step(kSlice);
      if (interrupted() || failure()) generation_->end();
    }
    account();
    throw_if_failed();
    response.set_content(stream_.format().whole(whole_answers(), usage_), "application/json");
    if (!receipt_) return;
    receipt_->sent(response.body);
    set_receipt(sign(/*cut=*/false), stream_.format().id(), response);
  }

  /// Waits for the first event, for a while, in which an error can still become the status of the
  /// response. Not while the request waits for a place: its client shall see that somebody is
  /// there; and not with a pace, which the headers would undo.
  /// @throws ApiError if the answer fails before
  void begin_stream() {
    const auto start = Clock::now();
    while (!stream_.paced() && generation_->begun() && !stream_.pending() &&
           Clock::now() - start < kHeadersAtLast) {
      step(kSlice);
      if (interrupted()) generation_->end();
      if (generation_->over()) throw_if_failed();
    }
  }

  /// Sends what there is, waiting a moment for it. False ends the connection.
  bool continue_stream(BodySink& sink) {
    step(patience());
    if (interrupted()) generation_->end();
    if (exchange_.client_left) return false;
    std::string out = stream_.due(Clock::now());
    const bool last = generation_->over() && (failure() || !stream_.pending());
    if (last) out += ending();
    if (receipt_) receipt_->sent(out);
    if (last && receipt_ && !failure()) out += receipt_comment(sign(/*cut=*/false));
    if (out.empty()) out = comment();
    if (out.empty()) return true;
    last_sent_ = Clock::now();
    if (!sink.write(out.data(), out.size())) {
      exchange_.client_left = true;
      return false;
    }
    if (last) sink.done();
    return true;
  }

private:
  ResponseShape shape_of(bool chat) const {
    ResponseShape shape{chat, service_.options_.defaults.model, prompts_.size() * request_.choices,
                        request_.include_usage, 0};
    if (request_.obfuscation.value_or(service_.options_.stream.obfuscation))
      shape.room = service_.longest_token_;
    shape.fingerprint = service_.options_.fingerprint;
    shape.echo = request_.echo;
    shape.logprobs = request_.logprobs;
    shape.bytes = [&tokenizer = service_.engine_.tokenizer()](u32 token) {
      return tokenizer.token_bytes(token);
    };
    shape.tokens_as_ids = request_.tokens_as_ids;
    shape.return_token_ids = request_.return_token_ids;
    return shape;
  }

  /// A call that is forced is written in one way for all models.
  ToolSyntax tool_syntax() const {
    const bool forced = request_.form.kind == AnswerForm::Kind::calls;
    return forced ? ToolSyntax::hermes : service_.prompts_.tool_syntax();
  }

  /// For each prompt as many as it takes.
  std::vector<pipeline::Request> engine_requests() const {
    std::vector<pipeline::Request> requests;
    for (const auto& prompt : prompts_)
      for (u32 i = 0; i < request_.best_of; ++i) {
        requests.push_back(engine_request(request_, prompt, i, grammar_));
        requests.back().trace = exchange_.trace;
        requests.back().owner = exchange_.visit->client().identity;
      }
    return requests;
  }

  /// The receipt of what was given: of a stream all that was made, which is then as much.
  attest::ReceiptRecord sign(bool cut) {
    for (std::size_t prompt = 0; prompt < prompts_.size(); ++prompt)
      for (const std::size_t index : best_of(prompt))
        receipt_->answered(prompt, request_.sampling.seed + index % request_.best_of,
                           generation_->completions()[index]);
    const attest::ReceiptRecord record = receipt_->sign(stream_.format().id(), cut);
    receipt_.reset();
    return record;
  }

  /// Of a stream whose client left: it may ask for the receipt of what it has. An answer that
  /// failed has none.
  void sign_cut() noexcept {
    if (!receipt_ || !request_.stream || !exchange_.client_left || !generation_ ||
        generation_->submitted() < generation_->completions().size())
      return;
    for (const auto& completion : generation_->completions())
      if (completion.error) return;
    try {
      sign(/*cut=*/true);
    } catch (const std::exception&) { // no memory, no randomness: there is nobody to be told
    }
  }

  /// The answers to a prompt that are given, of those that were made: the likeliest by token.
  std::vector<std::size_t> best_of(std::size_t prompt) const {
    const auto likelihood = [this](std::size_t index) {
      const auto& scores = generation_->completions()[index].scores;
      double sum = 0;
      for (const auto& each : scores) sum += double{each.chosen.logprob};
      return scores.empty() ? 0 : sum / static_cast<double>(scores.size());
    };
    std::vector<std::size_t> indices(request_.best_of);
    std::iota(indices.begin(), indices.end(), prompt * request_.best_of);
    if (request_.best_of > request_.choices)
      std::stable_sort(indices.begin(), indices.end(),
                       [&](std::size_t a, std::size_t b) { return likelihood(a) > likelihood(b); });
    indices.resize(request_.choices);
    return indices;
  }

  std::vector<WholeAnswer> whole_answers() {
    std::vector<WholeAnswer> out;
    for (std::size_t prompt = 0; prompt < prompts_.size(); ++prompt)
      for (const std::size_t index : best_of(prompt))
        out.push_back(whole_answer(prompt, generation_->completions()[index], out.size()));
    return out;
  }

  WholeAnswer whole_answer(std::size_t prompt, const pipeline::Completion& completion,
                           std::size_t index) {
    WholeAnswer out;
    out.text = completion.text;
    out.reason = to_string(completion.reason);
    out.stopped_by = completion.ended_by;
    out.stopped_by_token = completion.ended_by_token;
    if (request_.logprobs) out.scores = completion.scores;
    if (request_.prompt_logprobs) out.prompt_scores = completion.prompt_scores;
    out.prompt = prompts_[prompt];
    out.tokens = completion.tokens;
    if (request_.echo) out.text = texts_[prompt] + out.text;
    if (!finders_.empty()) {
      AnswerParts parts = finders_[index].push(out.text);
      AnswerParts rest = finders_[index].finish();
      out.text = parts.text + rest.text;
      out.calls = std::move(parts.calls);
      std::move(rest.calls.begin(), rest.calls.end(), std::back_inserter(out.calls));
      if (!out.calls.empty() && completion.reason == pipeline::FinishReason::stop)
        out.reason = "tool_calls";
    }
    return out;
  }

  /// Waits for something to happen.
  void step(std::chrono::milliseconds patience) {
    try {
      for (const AnswerEvent& event : generation_->wait(patience)) take(event);
      note_submission();
    } catch (const Admission::Full&) {
      refused_ = queue_full(service_.options_.limits.waiting);
      generation_->end();
    }
  }

  std::chrono::milliseconds patience() const {
    using std::chrono::milliseconds;
    if (!stream_.paced())
      return stream_.pending() || generation_->over() ? milliseconds(0) : kSlice;
    const auto until_tick = std::chrono::ceil<milliseconds>(stream_.next_tick() - Clock::now());
    return std::clamp(until_tick, milliseconds(0), kSlice);
  }

  void take(const AnswerEvent& event) {
    if (!request_.stream) return;
    AnswerPiece piece{event.text, event.scores, {}};
    if (!finders_.empty()) {
      ToolCallFinder& finder = finders_[event.answer];
      AnswerParts parts = event.over ? finder.finish() : finder.push(event.text);
      piece.text = std::move(parts.text);
      piece.calls = std::move(parts.calls);
    }
    if (request_.echo && !echoed_[event.answer]) {
      piece.text = texts_[event.answer / request_.choices] + piece.text;
      echoed_[event.answer] = true;
    }
    if (!piece.empty()) stream_.add(event.answer, std::move(piece));
    if (!event.over) return;
    const auto& completion = generation_->completions()[event.answer];
    if (!completion.error && completion.reason != pipeline::FinishReason::cancelled)
      stream_.ended(event.answer, completion.reason);
  }

  /// True if the answer should end early; notes a client that left.
  bool interrupted() {
    if (generation_->over()) return false;
    exchange_.client_left = exchange_.connection->peer_left();
    return exchange_.client_left || service_.shutdown_.over ||
           (service_.shutdown_.draining && !generation_->begun());
  }

  /// What went wrong so far, as the client hears it.
  std::optional<ApiError> failure() const {
    if (refused_) return refused_;
    for (const auto& completion : generation_->completions()) {
      if (completion.error) return to_api_error(*completion.error, {}, exchange_.trace);
      if (completion.reason == pipeline::FinishReason::cancelled) return shutting_down();
    }
    return std::nullopt;
  }

  void throw_if_failed() const {
    if (exchange_.client_left) throw client_left();
    if (const auto error = failure()) throw *error;
  }

  /// The last events.
  std::string ending() {
    account();
    const std::string done(ResponseFormat::kDone);
    if (const auto error = failure()) {
      exchange_.failed_status = error->status();
      return stream_.format().failure(*error) + done;
    }
    return stream_.format().usage(usage_) + done;
  }

  /// What is said if there has been nothing to say for long, at first at once.
  std::string comment() const {
    if (stream_.paced() || Clock::now() - last_sent_ < kLongestSilence) return {};
    return std::string(ResponseFormat::kWaiting);
  }

  LiveRequests::Line line() const {
    LiveRequests::Line out;
    out.route = exchange_.route;
    out.answers = request_.choices;
    out.prompt_tokens = usage_.prompt_tokens;
    out.arrived = exchange_.began;
    out.tokens = times_;
    return out;
  }

  void note_submission() {
    if (generation_->begun()) live_->submitted(generation_->submitted_at(0));
  }

  /// Of the first answer, as it stands for the others in a list.
  void note_end() {
    if (!generation_->begun()) return live_->ended(refused_ ? "error" : "abort", {});
    const pipeline::Completion& first = generation_->completions().front();
    const bool is_cancelled = first.reason == pipeline::FinishReason::cancelled;
    const std::chrono::duration<double, std::milli> queued(first.timings.queue_ms);
    live_->ended(is_cancelled ? "abort" : to_string(first.reason),
                 generation_->submitted_at(0) +
                     std::chrono::duration_cast<Clock::duration>(queued));
  }

  /// Once, when everything has ended.
  void account() {
    if (std::exchange(accounted_, true) || !generation_) return;
    generation_->end();
    const double latency = seconds_since(exchange_.began);
    const auto& completions = generation_->completions();
    for (std::size_t i = 0; i < generation_->submitted(); ++i) {
      usage_.completion_tokens += completions[i].tokens.size();
      if (i % request_.best_of == 0) usage_.cached_tokens += completions[i].cached_tokens;
      const double queued = seconds_between(exchange_.began, generation_->submitted_at(i));
      service_.metrics_.answered(completions[i],
                                 {prompts_[i / request_.best_of].size(), request_.max_tokens,
                                  request_.choices, queued, latency});
      if (completions[i].error) service_.log_failure(*completions[i].error, exchange_.trace);
    }
    note_end();
    exchange_.prompt_tokens = usage_.prompt_tokens;
    exchange_.completion_tokens = usage_.completion_tokens;
    exchange_.visit->spend(usage_.prompt_tokens + usage_.completion_tokens);
  }

  CompletionService& service_;
  Exchange& exchange_;
  const ApiRequest request_;
  std::optional<ReceiptDraft> receipt_; ///< until it is signed
  const std::vector<std::vector<u32>> prompts_;
  const std::shared_ptr<model::grammar::TokenGrammar> grammar_;
  const std::vector<std::string> texts_; ///< of the prompts, if they stand before answers
  EventStream stream_;
  std::vector<ToolCallFinder> finders_; ///< of the answers given, if they may hold calls
  std::vector<bool> echoed_ = std::vector<bool>(prompts_.size() * request_.choices);
  std::shared_ptr<TokenTimes> times_;
  std::unique_ptr<LiveRequests::Visit> live_;
  std::optional<Generation> generation_;
  std::optional<ApiError> refused_; ///< left the queue to another client
  Usage usage_;
  Clock::time_point last_sent_; ///< long ago at first
  bool accounted_ = false;
};

CompletionService::CompletionService(pipeline::Engine& engine, Options options,
                                     const Shutdown& shutdown)
    : engine_(engine), options_(std::move(options)), shutdown_(shutdown),
      prompts_(engine, options_.defaults, options_.chat), admission_(options_.limits),
      longest_token_(longest_token(engine.tokenizer())),
      metrics_(engine, admission_, options_.defaults.model, options_.coarse_metrics) {}

void CompletionService::chat(std::string body, HttpResponse& response) {
  if (!options_.chat) throw ApiError(400, "the model has no chat template; use /v1/completions");
  answer(true, std::move(body), response);
}

void CompletionService::completion(std::string body, HttpResponse& response) {
  answer(false, std::move(body), response);
}

void CompletionService::tokenize(std::string body, HttpResponse& response) {
  check_client();
  const auto [ids, with_strings] = prompts_.tokenize(
      std::move(body), Httpd::exchange().visit->client().name, [this] { check_client(); });
  nlohmann::ordered_json out{
      {"count", ids.size()}, {"max_model_len", engine_.plan().max_position}, {"tokens", ids}};
  if (with_strings)
    for (const u32 id : ids) out["token_strs"].push_back(engine_.tokenizer().token(id));
  response.set_content(out.dump(), "application/json");
}

void CompletionService::detokenize(std::string body, HttpResponse& response) {
  check_client();
  const std::string text = prompts_.detokenize(
      std::move(body), Httpd::exchange().visit->client().name, [this] { check_client(); });
  response.set_content(nlohmann::ordered_json{{"prompt", text}}.dump(), "application/json");
}

void CompletionService::answer(bool chat, std::string body, HttpResponse& response) {
  const u64 trace = Httpd::exchange().trace;
  check_client();
  try {
    std::optional<ReceiptDraft> receipt = draft_of(chat, body);
    Prepared prepared = prompts_.read(chat, std::move(body), Httpd::exchange().visit->client().name,
                                      [this] { check_client(); });
    reserve_tokens(prepared, response);
    const bool stream = prepared.request.stream;
    auto answering =
        std::make_shared<Answering>(*this, chat, std::move(prepared), std::move(receipt));
    if (!stream)
      answering->whole(response);
    else
      begin_stream(std::move(answering), response);
  } catch (const Admission::Full&) {
    throw queue_full(options_.limits.waiting);
  } catch (const Error& error) {
    log_failure(error, trace);
    throw to_api_error(error, chat ? "messages" : "prompt", trace);
  }
}

std::optional<ReceiptDraft> CompletionService::draft_of(bool chat, const std::string& body) const {
  if (options_.receipts == nullptr) return std::nullopt;
  return std::make_optional<ReceiptDraft>(*options_.receipts, chat,
                                          receipt_owner(Httpd::exchange().visit->client()), body);
}

void CompletionService::begin_stream(std::shared_ptr<Answering> answering, HttpResponse& response) {
  answering->begin_stream();
  response.set_header("Cache-Control", "no-cache");
  response.set_header("X-Accel-Buffering", "no"); // nginx would hold the events back
  response.set_stream("text/event-stream",
                      [answering](BodySink& sink) { return answering->continue_stream(sink); });
}

/// Ends what a client is waiting for that left, or that the server has no time for any more.
void CompletionService::check_client() const {
  Exchange& exchange = Httpd::exchange();
  require_live(engine_);
  if (shutdown_.draining) throw shutting_down();
  exchange.client_left = exchange.connection->peer_left();
  if (exchange.client_left) throw client_left();
}

void CompletionService::reserve_tokens(const Prepared& prepared, HttpResponse& response) const {
  Limits::Visit& visit = *Httpd::exchange().visit;
  const auto say = [&] { set_limit_headers(visit, response); };
  try {
    visit.reserve(prepared.prompt_tokens() + prepared.tokens_asked());
  } catch (const ApiError&) {
    say();
    throw;
  }
  say();
}

/// The engine's own words: they name workers, layers and files, and nothing that a client sent.
/// What is wrong with a request is for its client alone.
void CompletionService::log_failure(const Error& error, u64 trace) const {
  if (error.code() == Errc::usage || error.code() == Errc::cancelled || !options_.log) return;
  options_.log(fmt::format("error trace={} {}: {}", telemetry::to_hex(trace),
                           to_string(error.code()), error.what()));
}

} // namespace talaria::gateway
