#include "gateway/api_error.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "telemetry/trace_id.hpp"

namespace talaria::gateway {

namespace {

const char* type_of(int status) {
  if (status == 429) return "rate_limit_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}

/// Anthropic's types; each status of ours has one.
const char* anthropic_type_of(int status) {
  switch (status) {
  case 401:
    return "authentication_error";
  case 403:
    return "permission_error";
  case 404:
    return "not_found_error";
  case 413:
    return "request_too_large";
  case 429:
    return "rate_limit_error";
  case 503:
    return "overloaded_error";
  default:
    return status < 500 ? "invalid_request_error" : "api_error";
  }
}

/// Messages quote what clients wrote, perhaps a part of a character: whoever asked is told in any
/// case.
std::string text_of(const nlohmann::ordered_json& object) {
  return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

nlohmann::ordered_json or_null(const std::string& text) {
  if (text.empty()) return nullptr;
  return text;
}

} // namespace

std::string ApiError::body(ErrorShape shape, const std::string& request) const {
  if (shape == ErrorShape::anthropic) {
    const nlohmann::ordered_json error{
        {"type", "error"},
        {"error", {{"type", anthropic_type_of(status_)}, {"message", what()}}},
        {"request_id", or_null(request)}};
    return text_of(error);
  }
  const nlohmann::ordered_json object{{"error",
                                       {{"message", what()},
                                        {"type", type_of(status_)},
                                        {"param", or_null(param_)},
                                        {"code", or_null(code_)}}}};
  return text_of(object);
}

ApiError bad_field(const std::string& field, const std::string& message) {
  return {400, message, field};
}

namespace {

struct Told {
  int status;
  const char* sentence;
};

Told told(Errc code) {
  switch (code) {
  case Errc::no_worker:
    return {503, "no worker can take the request now; try again later"};
  case Errc::verification:
    return {500, "a worker's answer failed its check and was not used; try again"};
  case Errc::model:
    return {500, "the served model cannot answer this request"};
  default:
    return {500, "the request failed inside the server"};
  }
}

} // namespace

ApiError to_api_error(const Error& error, const std::string& param, u64 trace) {
  if (error.code() == Errc::usage) return {400, error.what(), param};
  if (error.code() == Errc::cancelled) return shutting_down();
  const auto [status, sentence] = told(error.code());
  const std::string request =
      trace == 0 ? std::string() : " (request " + telemetry::to_hex(trace) + ")";
  return {status, sentence + request, {}, to_string(error.code())};
}

ApiError context_length_exceeded(const std::string& param, std::size_t tokens, u32 context) {
  return {400,
          fmt::format("This model's maximum context length is {} tokens. However, your {} has at "
                      "least {}. Shorten it.",
                      context, param, tokens),
          param, kContextLengthExceeded};
}

ApiError rate_limit_exceeded(const std::string& message, u32 retry_after_s) {
  return ApiError(429, message, {}, "rate_limit_exceeded").retry_after(retry_after_s);
}

ApiError invalid_api_key(const std::string& message) {
  return {401, message, {}, "invalid_api_key"};
}

ApiError shutting_down() {
  return {503, "the server is shutting down; try again later", {}, "shutting_down"};
}

} // namespace talaria::gateway
