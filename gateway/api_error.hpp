#pragma once

#include <stdexcept>
#include <string>

#include "core/error.hpp"
#include "core/integers.hpp"

namespace talaria::gateway {

/// In whose words an error object is written.
enum class ErrorShape : u8 { openai, anthropic };

/// A request that is answered by an error object. `what()` goes to the client and nowhere else.
class ApiError : public std::runtime_error {
public:
  /// @param status  of HTTP, 400 to 599
  /// @param param   the field of the request it is about; empty: none
  /// @param code    short and stable, for programs; empty: none
  ApiError(int status, const std::string& message, std::string param = {}, std::string code = {})
      : std::runtime_error(message), status_(status), param_(std::move(param)),
        code_(std::move(code)) {}

  int status() const noexcept { return status_; }
  const std::string& param() const noexcept { return param_; }
  const std::string& code() const noexcept { return code_; }
  /// Seconds after which the same request may be answered; 0: not told. With 429 and 503.
  u32 retry_after_s() const noexcept { return retry_after_s_; }
  ApiError& retry_after(u32 seconds) noexcept {
    retry_after_s_ = seconds;
    return *this;
  }
  /// {"error":{"message","type","param","code"}}, or
  /// {"type":"error","error":{"type","message"},"request_id"}
  /// @param request  the request's id
  std::string body(ErrorShape shape = ErrorShape::openai, const std::string& request = {}) const;

private:
  int status_;
  std::string param_;
  std::string code_;
  u32 retry_after_s_ = 0;
};

/// 400 about one field.
ApiError bad_field(const std::string& field, const std::string& message);

/// What clients are told of what went wrong inside. A usage error is about what they sent and
/// keeps its words (400, about `param`). Anything else becomes a sentence of its kind, no worker
/// left or cancelled 503, the rest 500: the engine's words name workers, addresses, layers and
/// files and belong into the log, where `trace` leads to them (0: not told).
ApiError to_api_error(const Error& error, const std::string& param = {}, u64 trace = 0);

/// The code of the next.
inline constexpr const char* kContextLengthExceeded = "context_length_exceeded";
/// 400: a prompt of more tokens than the context holds, in the words clients look for.
ApiError context_length_exceeded(const std::string& param, std::size_t tokens, u32 context);

/// 429: a client has used up what it may have; `retry_after_s` says when to come back.
ApiError rate_limit_exceeded(const std::string& message, u32 retry_after_s);

/// 401: no key, or not one of ours.
ApiError invalid_api_key(const std::string& message);

/// 503: the server goes down.
ApiError shutting_down();

} // namespace talaria::gateway
