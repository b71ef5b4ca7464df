#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "gateway/admission.hpp"
#include "gateway/answering.hpp"
#include "gateway/api_request.hpp"
#include "gateway/event_stream.hpp"
#include "gateway/httpd.hpp"
#include "gateway/live_requests.hpp"
#include "gateway/metrics.hpp"
#include "gateway/prompt_reader.hpp"
#include "gateway/receipt_draft.hpp"
#include "model/chat_encoder.hpp"

namespace talaria::gateway {

/// Answers requests in every dialect, by one way: a reader makes a request of the body, the engine
/// its answers, a writer the response. Handlers run on many threads at once, each for as long as
/// its answer takes.
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
  void answer(Dialect dialect, std::string body, HttpResponse& response);
  /// The tokens of the prompt that a request in this dialect would have, without an answer.
  u64 count(Dialect dialect, std::string body);
  /// vLLM's /tokenize and /detokenize.
  void tokenize(std::string body, HttpResponse& response);
  void detokenize(std::string body, HttpResponse& response);

  const Admission& admission() const noexcept { return admission_; }
  /// Those that answers are made for, or that wait for it.
  const LiveRequests& requests() const noexcept { return requests_; }
  const Metrics& metrics() const noexcept { return metrics_; }
  Metrics& metrics() noexcept { return metrics_; }

private:
  void require_possible(Dialect dialect) const;
  AnswerSetup setup();
  void begin_stream(std::shared_ptr<Answering> answering, HttpResponse& response);
  /// @throws ApiError for a length that embeddings of the model are not cut to
  void check_dimensions(u32 dimensions) const;
  std::optional<ReceiptDraft> draft_of(Dialect dialect, const std::string& body) const;
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
