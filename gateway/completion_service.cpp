#include "gateway/completion_service.hpp"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "gateway/readiness.hpp"
#include "telemetry/trace_id.hpp"

namespace talaria::gateway {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kSlice{100}; // between two looks at client and shutdown
// How long an error can still become the status of a streamed response. Later it comes as an event:
// clients and proxies do not wait for headers for ever.
constexpr std::chrono::seconds kHeadersAtLast{2};

/// Thrown through a handler whose client is no longer there; the response reaches nobody.
ApiError client_left() {
  return {499, "the client left"};
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void throw_if_failed(const pipeline::Completion& completion) {
  if (completion.error) throw to_api_error(*completion.error);
  if (completion.reason == pipeline::FinishReason::cancelled) throw shutting_down();
}

} // namespace

/// One admitted request until its response is complete. Lives on the thread that serves the
/// connection, inside the exchange.
class CompletionService::Answering {
public:
  Answering(CompletionService& service, bool chat, const ApiRequest& request,
            Admission::Place place, std::vector<pipeline::Request> requests)
      : service_(service), exchange_(Httpd::exchange()),
        format_(chat, service.options_.defaults.model, request.include_usage),
        queued_s_(seconds_since(exchange_.began)) {
    for (const auto& each : requests) prompt_tokens_.push_back(each.prompt.size());
    generation_.emplace(service.engine_, std::move(place), std::move(requests), request.stream);
    for (const std::size_t tokens : prompt_tokens_) usage_.prompt_tokens += tokens;
  }
  ~Answering() { account(); }
  Answering(const Answering&) = delete;
  Answering& operator=(const Answering&) = delete;

  /// The whole body. @throws ApiError if the answer failed, or nobody waits for it any more.
  std::string whole() {
    while (!generation_->over()) {
      step(kSlice);
      if (interrupted()) generation_->end();
    }
    account();
    if (exchange_.client_left) throw client_left();
    for (const auto& completion : generation_->completions()) throw_if_failed(completion);
    return format_.whole(generation_->completions(), usage_);
  }

  /// Waits for the first event, for a while. @throws ApiError if that is a failure.
  void begin_stream() {
    const auto start = Clock::now();
    while (pending_.empty() && Clock::now() - start < kHeadersAtLast) {
      step(kSlice);
      if (interrupted()) generation_->end();
      if (exchange_.client_left) throw client_left();
      if (generation_->over()) throw_if_failed(generation_->completions().front());
    }
    std::string openings;
    for (std::size_t i = 0; i < prompt_tokens_.size(); ++i) openings += format_.opening(i);
    pending_.insert(0, openings);
  }

  /// Sends what there is, waiting a moment for it. False ends the connection.
  bool continue_stream(httplib::DataSink& sink) {
    if (pending_.empty() && !generation_->over()) step(kSlice);
    if (interrupted()) generation_->end();
    if (exchange_.client_left) return false;
    const bool last = generation_->over();
    std::string out = std::exchange(pending_, {});
    if (last) {
      account();
      out += ending();
    }
    if (!out.empty() && !sink.write(out.data(), out.size())) {
      exchange_.client_left = true;
      return false;
    }
    if (last) sink.done();
    return true;
  }

private:
  void step(std::chrono::milliseconds patience) {
    for (const AnswerEvent& event : generation_->wait(patience)) {
      if (!event.over) {
        pending_ += format_.text(event.answer, event.text);
        continue;
      }
      const auto& completion = generation_->completions()[event.answer];
      if (!completion.error && completion.reason != pipeline::FinishReason::cancelled)
        pending_ += format_.ending(event.answer, completion.reason);
    }
  }

  /// True if the answer should end early; notes a client that left.
  bool interrupted() {
    if (generation_->over()) return false;
    exchange_.client_left = exchange_.connection->peer_left();
    return exchange_.client_left || service_.shutdown_.over;
  }

  std::string ending() const {
    try {
      for (const auto& completion : generation_->completions()) throw_if_failed(completion);
    } catch (const ApiError& error) {
      return ResponseFormat::failure(error) + std::string(ResponseFormat::kDone);
    }
    return format_.usage(usage_) + std::string(ResponseFormat::kDone);
  }

  /// Once, when everything has ended.
  void account() {
    if (std::exchange(accounted_, true)) return;
    generation_->end();
    const double latency = seconds_since(exchange_.began);
    const auto& completions = generation_->completions();
    for (std::size_t i = 0; i < completions.size(); ++i) {
      usage_.completion_tokens += completions[i].tokens.size();
      service_.metrics_.answered(completions[i], prompt_tokens_[i], queued_s_, latency);
    }
    exchange_.prompt_tokens = usage_.prompt_tokens;
    exchange_.completion_tokens = usage_.completion_tokens;
  }

  CompletionService& service_;
  Exchange& exchange_;
  ResponseFormat format_;
  const double queued_s_;
  std::vector<std::size_t> prompt_tokens_;
  std::optional<Generation> generation_;
  Usage usage_;
  std::string pending_; ///< events to be sent
  bool accounted_ = false;
};

CompletionService::CompletionService(pipeline::Engine& engine, Options options,
                                     const Shutdown& shutdown)
    : engine_(engine), options_(std::move(options)), shutdown_(shutdown),
      admission_(options_.limits), metrics_(engine, admission_, options_.defaults.model) {}

void CompletionService::chat(const std::string& body, httplib::Response& response) {
  if (!options_.chat_template)
    throw ApiError(400, "the model has no chat template; use /v1/completions");
  answer(true, parse_chat_request(body, options_.defaults), response);
}

void CompletionService::completion(const std::string& body, httplib::Response& response) {
  answer(false, parse_completion_request(body, options_.defaults), response);
}

void CompletionService::answer(bool chat, const ApiRequest& request, httplib::Response& response) {
  Admission::Place place = admit(request);
  const std::string prompt_field = chat ? "messages" : "prompt";
  u64& trace = Httpd::exchange().trace;
  if (trace == 0) trace = telemetry::new_trace_id();
  std::shared_ptr<Answering> answering;
  try {
    std::vector<pipeline::Request> requests;
    for (auto& prompt : encode(request)) {
      pipeline::Request each;
      each.prompt = std::move(prompt);
      each.max_tokens = request.max_tokens;
      each.ignore_eos = request.ignore_eos;
      each.sampling = request.sampling;
      each.stops = request.stops;
      each.trace = trace;
      requests.push_back(std::move(each));
    }
    answering =
        std::make_shared<Answering>(*this, chat, request, std::move(place), std::move(requests));
  } catch (const Error& error) {
    throw to_api_error(error, prompt_field);
  }
  if (!request.stream) {
    response.set_content(answering->whole(), "application/json");
    return;
  }
  answering->begin_stream();
  response.set_header("Cache-Control", "no-cache");
  response.set_header("X-Accel-Buffering", "no"); // nginx would hold the events back
  response.set_chunked_content_provider("text/event-stream",
                                        [answering](std::size_t, httplib::DataSink& sink) {
                                          return answering->continue_stream(sink);
                                        });
}

Admission::Place CompletionService::admit(const ApiRequest& request) {
  Exchange& exchange = Httpd::exchange();
  const auto check = [&] {
    require_live(engine_);
    if (shutdown_.draining) throw shutting_down();
    exchange.client_left = exchange.connection->peer_left();
    if (exchange.client_left) throw client_left();
  };
  check();
  try {
    return admission_.enter(request.answers(), check);
  } catch (const Admission::Full&) {
    throw ApiError(
        429, fmt::format("{} answers wait already; try again later", admission_.limits().waiting),
        {}, "queue_full");
  }
}

std::vector<std::vector<u32>> CompletionService::encode(const ApiRequest& request) const {
  const model::Tokenizer& tokenizer = engine_.tokenizer();
  if (!request.messages.empty())
    return {tokenizer.encode(
        options_.chat_template->render(request.messages, /*add_generation_prompt=*/true),
        /*add_special_tokens=*/false)};
  std::vector<std::vector<u32>> prompts;
  for (const Prompt& prompt : request.prompts) {
    if (const auto* text = std::get_if<std::string>(&prompt))
      prompts.push_back(tokenizer.encode(*text, /*add_special_tokens=*/true));
    else
      prompts.push_back(std::get<std::vector<u32>>(prompt));
  }
  return prompts;
}

} // namespace talaria::gateway
