#include "gateway/completion_service.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "gateway/event_text.hpp"
#include "gateway/readiness.hpp"
#include "telemetry/trace_id.hpp"

namespace talaria::gateway {

namespace {

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

CompletionService::CompletionService(pipeline::Engine& engine, Options options,
                                     const Shutdown& shutdown)
    : engine_(engine), options_(std::move(options)), shutdown_(shutdown),
      prompts_(engine, options_.defaults, options_.chat), admission_(options_.limits),
      longest_token_(longest_token(engine.tokenizer())),
      metrics_(engine, admission_, options_.defaults.model, options_.coarse_metrics) {}

AnswerSetup CompletionService::setup() {
  return {engine_,
          admission_,
          metrics_,
          requests_,
          shutdown_,
          options_.stream,
          options_.defaults.model,
          options_.fingerprint,
          options_.defaults.adapters,
          longest_token_,
          prompts_.tool_syntax(),
          prompts_.thinks_in_tags(),
          [this](const Error& error, u64 trace) { log_failure(error, trace); }};
}

/// A model is served for one thing. Only a chat template makes a prompt of a conversation.
void CompletionService::require_possible(Dialect dialect) const {
  const auto& pooling = engine_.pooling();
  if (is_pooled(dialect) && !pooling)
    throw ApiError(400, "this model is served to generate text: it gives neither embeddings nor "
                        "scores, unless the server is started with task: embed or task: score");
  if (dialect == Dialect::embeddings && pooling->task == model::Task::score)
    throw ApiError(400, "this model scores pairs of texts and gives no embeddings; use /v1/score "
                        "or /v1/rerank");
  if (!is_pooled(dialect) && pooling)
    throw ApiError(400, fmt::format("this model generates no text; use {}/v1/score or /v1/rerank",
                                    pooling->task == model::Task::embed ? "/v1/embeddings, " : ""));
  if (is_pooled(dialect)) return;
  if (dialect != Dialect::completions && !options_.chat)
    throw ApiError(400, "the model has no chat template; use /v1/completions");
}

u64 CompletionService::count(Dialect dialect, std::string body) {
  require_possible(dialect);
  check_client();
  return prompts_.count(dialect, std::move(body), Httpd::exchange().visit->client().name,
                        [this] { check_client(); });
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

void CompletionService::answer(Dialect dialect, std::string body, HttpResponse& response) {
  const u64 trace = Httpd::exchange().trace;
  require_possible(dialect);
  check_client();
  try {
    std::optional<ReceiptDraft> receipt = draft_of(dialect, body);
    Prepared prepared =
        prompts_.read(dialect, std::move(body), Httpd::exchange().visit->client().name,
                      [this] { check_client(); });
    check_dimensions(prepared.request.pooling.dimensions);
    reserve_tokens(prepared, response);
    const bool stream = prepared.request.stream;
    auto answering = std::make_shared<Answering>(setup(), std::move(prepared), std::move(receipt));
    if (!stream)
      answering->whole(response);
    else
      begin_stream(std::move(answering), response);
  } catch (const Admission::Full&) {
    throw queue_full(options_.limits.waiting);
  } catch (const Error& error) {
    log_failure(error, trace);
    throw to_api_error(error, prompt_field(dialect), trace);
  }
}

void CompletionService::check_dimensions(u32 dimensions) const {
  try {
    engine_.check_dimensions(dimensions);
  } catch (const Error& error) {
    throw bad_field("dimensions", error.what());
  }
}

std::optional<ReceiptDraft> CompletionService::draft_of(Dialect dialect,
                                                        const std::string& body) const {
  if (options_.receipts == nullptr) return std::nullopt;
  return std::make_optional<ReceiptDraft>(*options_.receipts, dialect,
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
