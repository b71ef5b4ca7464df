#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "core/integers.hpp"
#include "gateway/answer_report.hpp"
#include "gateway/http_message.hpp"
#include "gateway/limits.hpp"
#include "telemetry/trace_id.hpp"

namespace talaria::gateway {

class Connection;

/// One request and its response, beside their texts.
struct Exchange {
  std::chrono::system_clock::time_point arrived; ///< when its head had been read
  std::chrono::steady_clock::time_point began;
  std::string method = "-"; ///< one of the few that exist; "-" for every other one
  std::string route = "-";  ///< a path that is served; "-" for every other one
  int status = -1;          ///< of the response; -1: there was none
  int failed_status = 0;    ///< of a stream that failed after its head had gone out; 0: none
  u64 prompt_tokens = 0;
  u64 completion_tokens = 0;
  std::unique_ptr<Limits::Visit> visit; ///< who asks; only where it matters
  u64 trace = 0;                   ///< its name in traces and logs: its traceparent's, or our own
  telemetry::TraceContext context; ///< where it stands in its caller's trace; `low` is `trace`
  std::optional<AnswerReport> answer; ///< once answers that were asked for have ended
  bool client_left = false;           ///< before the response was complete
  bool close = false;                 ///< the connection cannot be used for another request
  std::string origin; ///< of the web page that asks, if serve.origins lists it; empty: none
  HttpRequest request;
  Connection* connection = nullptr; ///< null only where bytes come from memory (fuzzing)

  /// What logs and metrics count: 499 for a client that left before the end.
  int outcome() const noexcept {
    return client_left ? 499 : failed_status != 0 ? failed_status : status;
  }
};

/// Makes an exchange the one that current_exchange() gives on this thread, for as long as it lives.
class ExchangeScope {
public:
  explicit ExchangeScope(Exchange& exchange) noexcept;
  ~ExchangeScope();
  ExchangeScope(const ExchangeScope&) = delete;
  ExchangeScope& operator=(const ExchangeScope&) = delete;

private:
  Exchange* before_;
};

/// Of the request that this thread handles; only inside handlers.
Exchange& current_exchange() noexcept;

} // namespace talaria::gateway
