#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "gateway/admission.hpp"
#include "gateway/api_request.hpp"
#include "gateway/api_response.hpp"
#include "gateway/event_stream.hpp"
#include "gateway/generation.hpp"
#include "gateway/httpd.hpp"
#include "gateway/live_requests.hpp"
#include "gateway/metrics.hpp"
#include "gateway/prompt_reader.hpp"
#include "gateway/receipt_draft.hpp"
#include "model/chat_encoder.hpp"

namespace talaria::gateway {

/// How far the server's end has come.
struct Shutdown {
  std::atomic<bool> draining{false}; ///< new requests are refused
  std::atomic<bool> over{false};     ///< the grace is over: running requests are cancelled
};

/// Answers /v1/chat/completions and /v1/completions. Its handlers run on many threads at once, each
/// for as long as its answer takes.
class CompletionService {
public:
  using Log = std::function<void(const std::string& line)>;
  struct Options {
    ApiDefaults defaults;
    std::optional<model::ChatEncoder> chat; ///< nothing: the model has no chat template
    Admission::Limits limits;
    StreamOptions stream;
    bool coarse_metrics = false;
    std::string fingerprint;         ///< what answers depend on besides requests; empty: not told
    ReceiptBook* receipts = nullptr; ///< null: answers have none
    Log log; ///< told what failed inside, with the request's id; never what a client sent
  };
  /// `engine` and `shutdown` must outlive this object.
  /// @throws Error{model} for a chat template that cannot render a message
  CompletionService(pipeline::Engine& engine, Options options, const Shutdown& shutdown);

  /// @throws ApiError, Error
  void chat(std::string body, HttpResponse& response);
  void completion(std::string body, HttpResponse& response);
  /// vLLM's /tokenize and /detokenize.
  void tokenize(std::string body, HttpResponse& response);
  void detokenize(std::string body, HttpResponse& response);

  const Admission& admission() const noexcept { return admission_; }
  /// Those of the two endpoints.
  const LiveRequests& requests() const noexcept { return requests_; }
  const Metrics& metrics() const noexcept { return metrics_; }
  Metrics& metrics() noexcept { return metrics_; }

private:
  class Answering;

  void answer(bool chat, std::string body, HttpResponse& response);
  void begin_stream(std::shared_ptr<Answering> answering, HttpResponse& response);
  std::optional<ReceiptDraft> draft_of(bool chat, const std::string& body) const;
  void check_client() const;
  void reserve_tokens(const Prepared& prepared, HttpResponse& response) const;
  void log_failure(const Error& error, u64 trace) const;

  pipeline::Engine& engine_;
  const Options options_;
  const Shutdown& shutdown_;
  PromptReader prompts_;
  Admission admission_;
  const std::size_t longest_token_; ///< in escaped bytes
  Metrics metrics_;
  LiveRequests requests_;
};

} // namespace talaria::gateway
