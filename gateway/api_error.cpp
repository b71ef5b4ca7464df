#include "gateway/api_error.hpp"

#include <nlohmann/json.hpp>

namespace talaria::gateway {

namespace {

const char* type_of(int status) {
  if (status == 429) return "rate_limit_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}

nlohmann::ordered_json or_null(const std::string& text) {
  if (text.empty()) return nullptr;
  return text;
}

} // namespace

std::string ApiError::body() const {
  const nlohmann::ordered_json object{{"error",
                                       {{"message", what()},
                                        {"type", type_of(status_)},
                                        {"param", or_null(param_)},
                                        {"code", or_null(code_)}}}};
  return object.dump();
}

ApiError bad_field(const std::string& field, const std::string& message) {
  return {400, message, field};
}

ApiError to_api_error(const Error& error, const std::string& param) {
  switch (error.code()) {
  case Errc::usage:
    return {400, error.what(), param};
  case Errc::no_worker:
    return {503, error.what(), {}, "no_worker"};
  case Errc::cancelled:
    return shutting_down();
  default:
    return {500, error.what(), {}, to_string(error.code())};
  }
}

ApiError shutting_down() {
  return {503, "the server is shutting down; try again later", {}, "shutting_down"};
}

} // namespace talaria::gateway
