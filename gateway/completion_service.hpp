#pragma once

#include <httplib.h>

#include <atomic>
#include <optional>
#include <string>

#include "gateway/admission.hpp"
#include "gateway/api_request.hpp"
#include "gateway/api_response.hpp"
#include "gateway/generation.hpp"
#include "gateway/httpd.hpp"
#include "gateway/metrics.hpp"
#include "model/chat_template.hpp"

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
  struct Options {
    ApiDefaults defaults;
    std::optional<model::ChatTemplate> chat_template;
    Admission::Limits limits;
  };
  /// `engine` and `shutdown` must outlive this object.
  CompletionService(pipeline::Engine& engine, Options options, const Shutdown& shutdown);

  /// @throws ApiError, Error
  void chat(const std::string& body, httplib::Response& response);
  void completion(const std::string& body, httplib::Response& response);

  const Metrics& metrics() const noexcept { return metrics_; }
  Metrics& metrics() noexcept { return metrics_; }

private:
  class Answering;

  void answer(bool chat, const ApiRequest& request, httplib::Response& response);
  Admission::Place admit(const ApiRequest& request);
  std::vector<std::vector<u32>> encode(const ApiRequest& request) const;

  pipeline::Engine& engine_;
  const Options options_;
  const Shutdown& shutdown_;
  Admission admission_;
  Metrics metrics_;
};

} // namespace talaria::gateway
