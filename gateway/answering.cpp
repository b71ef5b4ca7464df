#include "gateway/answering.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "gateway/api_response.hpp"
#include "gateway/engine_requests.hpp"
#include "gateway/httpd.hpp"
#include "gateway/messages_writer.hpp"
#include "gateway/pooling_writer.hpp"
#include "gateway/responses_writer.hpp"
#include "telemetry/trace_id.hpp"

namespace talaria::gateway {

namespace {

constexpr std::chrono::milliseconds kSlice{100}; // between two looks at client and shutdown
// How long an error can still become the status of a streamed response. Later it comes as an event:
// clients and proxies do not wait for headers for ever.
constexpr std::chrono::seconds kHeadersAtLast{2};
constexpr std::chrono::seconds kLongestSilence{10}; // proxies cut connections that say nothing

double seconds_between(std::chrono::steady_clock::time_point start,
                       std::chrono::steady_clock::time_point end) {
  return std::chrono::duration<double>(end - start).count();
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return seconds_between(start, std::chrono::steady_clock::now());
}

u64 tokens_in(const std::vector<std::vector<u32>>& prompts) {
  u64 tokens = 0;
  for (const auto& each : prompts) tokens += each.size();
  return tokens;
}

} // namespace

ApiError client_left() {
  return {499, "the client left"};
}

ApiError queue_full(std::size_t waiting) {
  return ApiError(429, fmt::format("{} requests wait already; try again later", waiting), {},
                  "queue_full");
}

Answering::Answering(const AnswerSetup& setup, Prepared prepared,
                     std::optional<ReceiptDraft> receipt)
    : setup_(setup), exchange_(Httpd::exchange()), request_(std::move(prepared.request)),
      receipt_(std::move(receipt)), prompts_(std::move(prepared.prompts)),
      grammar_(std::move(prepared.grammar)),
      texts_(std::move(prepared.texts)), usage_{tokens_in(prompts_)},
      stream_(writer(), setup.stream.pace, Clock::now()) {
  if (receipt_) {
    receipt_->asked(request_, prompts_);
    if (const auto* adapter = setup.adapters.find(request_.adapter)) receipt_->adapted(*adapter);
  }
  add_parsers();
  times_ = std::make_shared<TokenTimes>(prompts_.size() * request_.best_of,
                                        setup.metrics.between_tokens());
  live_ = setup.requests.enter(line());
  generation_.emplace(setup.engine, setup.admission, exchange_.visit->client().name,
                      request_.priority, engine_requests(), request_.stream, times_);
  note_submission();
}

Answering::~Answering() {
  account();
  sign_cut();
}

void Answering::whole(HttpResponse& response) {
  while (!generation_->over()) {
    step(kSlice);
    if (interrupted() || failure()) generation_->end();
  }
  account();
  throw_if_failed();
  response.set_content(stream_.writer().whole(whole_answers(), usage_), "application/json");
  if (!receipt_) return;
  receipt_->sent(response.body);
  set_receipt(sign(/*cut=*/false), stream_.writer().id(), response);
}

void Answering::begin_stream() {
  const auto start = Clock::now();
  while (!stream_.paced() && generation_->begun() && !stream_.pending() &&
         Clock::now() - start < kHeadersAtLast) {
    step(kSlice);
    if (interrupted()) generation_->end();
    if (generation_->over()) throw_if_failed();
  }
}

bool Answering::continue_stream(BodySink& sink) {
  step(patience());
  if (interrupted()) generation_->end();
  if (exchange_.client_left) return false;
  std::string out = stream_.due(Clock::now());
  const bool last = generation_->over() && (failure() || !stream_.pending());
  if (last) out += ending();
  if (out.empty()) out = comment();
  if (out.empty()) return true;
  if (receipt_ && !out.starts_with(':')) receipt_->sent(out); // comments are none of the body
  if (last && receipt_ && !failure()) out += receipt_comment(sign(/*cut=*/false));
  last_sent_ = Clock::now();
  if (!sink.write(out.data(), out.size())) {
    exchange_.client_left = true;
    return false;
  }
  if (last) sink.done();
  return true;
}

ResponseShape Answering::shape() const {
  ResponseShape shape;
  shape.chat = request_.dialect != Dialect::completions;
  const ServedAdapter* const adapter = setup_.adapters.find(request_.adapter);
  shape.model = adapter != nullptr ? adapter->name : setup_.model;
  shape.answers = prompts_.size() * request_.choices;
  shape.include_usage = request_.include_usage;
  if (request_.obfuscation.value_or(setup_.stream.obfuscation)) // for all that a round may bring
    shape.room = setup_.longest_token * (1 + request_.drafts.value_or(setup_.engine.drafts()));
  shape.fingerprint =
      adapter != nullptr ? fingerprint_with(setup_.fingerprint, *adapter) : setup_.fingerprint;
  shape.echo = request_.echo;
  shape.logprobs = request_.logprobs;
  shape.bytes = [&tokenizer = setup_.engine.tokenizer()](u32 token) {
    return tokenizer.token_bytes(token);
  };
  shape.tokens_as_ids = request_.tokens_as_ids;
  shape.return_token_ids = request_.return_token_ids;
  shape.paced = setup_.stream.pace.count() > 0;
  shape.prompt_tokens = usage_.prompt_tokens;
  shape.repeated = request_.repeated;
  shape.trace = telemetry::to_hex(exchange_.trace);
  return shape;
}

std::unique_ptr<AnswerWriter> Answering::writer() const {
  switch (request_.dialect) {
  case Dialect::responses:
    return std::make_unique<ResponsesWriter>(shape());
  case Dialect::messages:
    return std::make_unique<MessagesWriter>(shape());
  case Dialect::embeddings:
    return std::make_unique<EmbeddingsWriter>(shape(), request_.pooling);
  case Dialect::score:
  case Dialect::rerank:
    return std::make_unique<ScoresWriter>(shape(), request_.dialect, request_.pooling, texts_);
  default:
    return std::make_unique<ResponseFormat>(shape());
  }
}

/// Some models' answers hold more than text, whatever is asked for. A call that is forced is
/// written in one way for all models; an answer of a given form is that and nothing else.
AnswerContents Answering::contents() const {
  AnswerContents out;
  if (request_.dialect == Dialect::completions || is_pooled(request_.dialect)) return out;
  out.parallel = request_.tools.parallel;
  if (request_.tools.expected || marks_all_answers(setup_.syntax)) out.calls = setup_.syntax;
  if (request_.form.kind == AnswerForm::Kind::calls) out.calls = ToolSyntax::hermes;
  out.thoughts = setup_.thinks_in_tags && request_.form.kind == AnswerForm::Kind::any;
  return out;
}

/// The last tokens of a prompt tell whether its template has begun what the model thinks.
void Answering::add_parsers() {
  constexpr std::size_t kTail = 16;
  const AnswerContents holds = contents();
  if (!holds.any()) return;
  for (const auto& prompt : prompts_) {
    const auto tail = std::span(prompt).last(std::min(prompt.size(), kTail));
    const bool inside =
        holds.thoughts && ends_in_thoughts(setup_.engine.tokenizer().decode(tail, false));
    fresh_.emplace_back(holds, inside);
    parsers_.resize(parsers_.size() + request_.choices, fresh_.back());
  }
}

/// Tokens of an answer up to the one that ends what the model thinks.
u64 Answering::reasoning_tokens(std::size_t answer) const {
  if (fresh_.empty()) return 0;
  AnswerParser parser = fresh_[answer / request_.best_of];
  u64 count = 0;
  for (const u32 token : generation_->completions()[answer].tokens) {
    const bool before = parser.thinks();
    parser.push(setup_.engine.tokenizer().token_bytes(token));
    count += before || parser.thinks() ? 1 : 0;
  }
  return count;
}

/// For each prompt as many as it takes.
std::vector<pipeline::Request> Answering::engine_requests() const {
  std::vector<pipeline::Request> requests;
  const model::AdapterPtr adapter =
      request_.adapter.empty() ? nullptr : setup_.engine.adapter(request_.adapter);
  for (const auto& prompt : prompts_)
    for (u32 i = 0; i < request_.best_of; ++i) {
      requests.push_back(engine_request(request_, prompt, i, grammar_));
      requests.back().trace = exchange_.trace;
      requests.back().owner = exchange_.visit->client().identity;
      requests.back().adapter = adapter;
    }
  return requests;
}

/// The receipt of what was given: of a stream all that was made, which is then as much. Of vectors
/// only the body's digest.
attest::ReceiptRecord Answering::sign(bool cut) {
  const std::size_t texts = is_pooled(request_.dialect) ? 0 : prompts_.size();
  for (std::size_t prompt = 0; prompt < texts; ++prompt)
    for (const std::size_t index : best_of(prompt))
      receipt_->answered(prompt, request_.sampling.seed + index % request_.best_of,
                         generation_->completions()[index]);
  const attest::ReceiptRecord record = receipt_->sign(stream_.writer().id(), cut);
  receipt_.reset();
  setup_.metrics.receipt_signed();
  return record;
}

/// Of a stream whose client left: it may ask for the receipt of what it has. An answer that failed
/// has none.
void Answering::sign_cut() noexcept {
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
std::vector<std::size_t> Answering::best_of(std::size_t prompt) const {
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

std::vector<WholeAnswer> Answering::whole_answers() {
  std::vector<WholeAnswer> out;
  for (std::size_t prompt = 0; prompt < prompts_.size(); ++prompt)
    for (const std::size_t index : best_of(prompt))
      out.push_back(whole_answer(prompt, generation_->completions()[index], out.size()));
  return out;
}

WholeAnswer Answering::whole_answer(std::size_t prompt, const pipeline::Completion& completion,
                                    std::size_t index) {
  WholeAnswer out;
  out.text = completion.text;
  out.end = {completion.reason, completion.ended_by, completion.ended_by_token};
  if (request_.logprobs) out.scores = completion.scores;
  if (request_.prompt_logprobs) out.prompt_scores = completion.prompt_scores;
  out.prompt = prompts_[prompt];
  out.tokens = completion.tokens;
  out.pooled = completion.pooled;
  if (request_.echo) out.text = texts_[prompt] + out.text;
  if (!parsers_.empty()) {
    AnswerParts parts = parsers_[index].push(out.text);
    AnswerParts rest = parsers_[index].finish();
    out.text = parts.text + rest.text;
    out.reasoning = parts.reasoning + rest.reasoning;
    for (auto* each : {&parts, &rest})
      for (CallPiece& call : each->calls) add_piece(out.calls, std::move(call));
  }
  return out;
}

/// Waits for something to happen.
void Answering::step(std::chrono::milliseconds patience) {
  try {
    for (const AnswerEvent& event : generation_->wait(patience)) take(event);
    note_submission();
  } catch (const Admission::Full&) {
    refused_ = queue_full(setup_.admission.limits().waiting);
    generation_->end();
  }
}

std::chrono::milliseconds Answering::patience() const {
  using std::chrono::milliseconds;
  if (!stream_.paced()) return stream_.pending() || generation_->over() ? milliseconds(0) : kSlice;
  const auto until_tick = std::chrono::ceil<milliseconds>(stream_.next_tick() - Clock::now());
  return std::clamp(until_tick, milliseconds(0), kSlice);
}

void Answering::take(const AnswerEvent& event) {
  if (!request_.stream) return;
  AnswerPiece piece{event.text, event.scores, {}};
  if (!parsers_.empty()) {
    AnswerParser& parser = parsers_[event.answer];
    AnswerParts parts = event.over ? parser.finish() : parser.push(event.text);
    piece.text = std::move(parts.text);
    piece.calls = std::move(parts.calls);
    piece.reasoning = std::move(parts.reasoning);
  }
  if (request_.echo && !echoed_[event.answer]) {
    piece.text = texts_[event.answer / request_.choices] + piece.text;
    echoed_[event.answer] = true;
  }
  if (!piece.empty()) stream_.add(event.answer, std::move(piece));
  if (!event.over) return;
  const auto& completion = generation_->completions()[event.answer];
  if (!completion.error && completion.reason != pipeline::FinishReason::cancelled)
    stream_.ended(event.answer,
                  {completion.reason, completion.ended_by, completion.ended_by_token});
}

/// True if the answer should end early; notes a client that left.
bool Answering::interrupted() {
  if (generation_->over()) return false;
  exchange_.client_left = exchange_.connection->peer_left();
  return exchange_.client_left || setup_.shutdown.over ||
         (setup_.shutdown.draining && !generation_->begun());
}

/// What went wrong so far, as the client hears it.
std::optional<ApiError> Answering::failure() const {
  if (refused_) return refused_;
  for (const auto& completion : generation_->completions()) {
    if (completion.error) return to_api_error(*completion.error, {}, exchange_.trace);
    if (completion.reason == pipeline::FinishReason::cancelled) return shutting_down();
  }
  return std::nullopt;
}

void Answering::throw_if_failed() const {
  if (exchange_.client_left) throw client_left();
  if (const auto error = failure()) throw *error;
}

/// The last events.
std::string Answering::ending() {
  account();
  if (const auto error = failure()) {
    exchange_.failed_status = error->status();
    return stream_.writer().failure(*error);
  }
  return stream_.writer().closing(usage_);
}

/// What is said if there has been nothing to say for long, at first at once.
std::string Answering::comment() {
  if (stream_.paced() || Clock::now() - last_sent_ < kLongestSilence) return {};
  return std::string(stream_.writer().waiting());
}

LiveRequests::Line Answering::line() const {
  LiveRequests::Line out;
  out.route = exchange_.route;
  out.answers = request_.choices;
  out.prompt_tokens = usage_.prompt_tokens;
  out.arrived = exchange_.began;
  out.tokens = times_;
  return out;
}

void Answering::note_submission() {
  if (generation_->begun()) live_->submitted(generation_->submitted_at(0));
}

/// Of the first answer, as it stands for the others in a list.
void Answering::note_end() {
  if (!generation_->begun()) return live_->ended(refused_ ? "error" : "abort", {});
  const pipeline::Completion& first = generation_->completions().front();
  const bool is_cancelled = first.reason == pipeline::FinishReason::cancelled;
  const std::chrono::duration<double, std::milli> queued(first.timings.queue_ms);
  live_->ended(is_cancelled ? "abort" : to_string(first.reason),
               generation_->submitted_at(0) + std::chrono::duration_cast<Clock::duration>(queued));
}

AnswerReport Answering::report() const {
  AnswerReport out;
  out.chat = request_.dialect != Dialect::completions;
  out.choices = request_.choices;
  out.max_tokens = request_.max_tokens;
  out.temperature = request_.sampling.temperature;
  out.top_p = request_.sampling.top_p;
  out.top_k = request_.sampling.top_k;
  out.frequency_penalty = request_.sampling.frequency_penalty;
  out.presence_penalty = request_.sampling.presence_penalty;
  out.cached_tokens = usage_.cached_tokens;
  out.reasoning_tokens = usage_.reasoning_tokens;
  const auto& completions = generation_->completions();
  for (std::size_t i = 0; i < generation_->submitted(); ++i) {
    out.reasons.emplace_back(to_string(completions[i].reason));
    if (completions[i].error && out.error.empty())
      out.error = to_string(completions[i].error->code());
  }
  if (!generation_->begun()) return out;
  const auto after = [](double ms) {
    return std::chrono::duration_cast<Clock::duration>(
        std::chrono::duration<double, std::milli>(ms));
  };
  const auto& times = completions.front().timings;
  out.submitted = generation_->submitted_at(0);
  if (completions.front().tokens.empty()) return out;
  out.started = *out.submitted + after(times.queue_ms);
  out.first_token = *out.submitted + after(times.ttft_ms);
  out.last_token = *out.first_token + after(times.decode_ms);
  return out;
}

/// Once, when everything has ended.
void Answering::account() {
  if (std::exchange(accounted_, true) || !generation_) return;
  generation_->end();
  const double latency = seconds_since(exchange_.began);
  const auto& completions = generation_->completions();
  for (std::size_t i = 0; i < generation_->submitted(); ++i) {
    usage_.completion_tokens += completions[i].tokens.size();
    usage_.reasoning_tokens += reasoning_tokens(i);
    if (i % request_.best_of == 0) usage_.cached_tokens += completions[i].cached_tokens;
    const double queued = seconds_between(exchange_.began, generation_->submitted_at(i));
    setup_.metrics.answered(completions[i],
                            {prompts_[i / request_.best_of].size(), request_.max_tokens,
                             request_.choices, queued, latency});
    if (completions[i].error) setup_.log_failure(*completions[i].error, exchange_.trace);
  }
  note_end();
  exchange_.answer = report();
  exchange_.prompt_tokens = usage_.prompt_tokens;
  exchange_.completion_tokens = usage_.completion_tokens;
  exchange_.visit->spend(usage_.prompt_tokens + usage_.completion_tokens);
}

} // namespace talaria::gateway
