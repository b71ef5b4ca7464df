#pragma once

#include <stdexcept>
#include <string>

#include "core/error.hpp"

namespace talaria::gateway {

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
  /// {"error":{"message","type","param","code"}}
  std::string body() const;

private:
  int status_;
  std::string param_;
  std::string code_;
};

/// 400 about one field.
ApiError bad_field(const std::string& field, const std::string& message);

/// What the engine says, as clients hear it: usage 400 (about `param`), no worker left or cancelled
/// 503, the rest 500.
ApiError to_api_error(const Error& error, const std::string& param = {});

/// 503: the server goes down.
ApiError shutting_down();

} // namespace talaria::gateway
