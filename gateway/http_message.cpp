#include "gateway/http_message.hpp"

#include <algorithm>

namespace talaria::gateway {

namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

std::string_view find(const HttpFields& fields, std::string_view name) {
  for (const auto& [known, value] : fields)
    if (same_name(known, name)) return value;
  return {};
}

} // namespace

bool same_name(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view HttpRequest::field(std::string_view name) const noexcept {
  return find(fields, name);
}

bool HttpRequest::has(std::string_view name) const noexcept {
  return std::any_of(fields.begin(), fields.end(),
                     [&](const auto& field) { return same_name(field.first, name); });
}

void HttpResponse::set_header(std::string name, std::string value) {
  std::erase_if(fields, [&](const auto& field) { return same_name(field.first, name); });
  fields.emplace_back(std::move(name), std::move(value));
}

void HttpResponse::set_content(std::string content, const std::string& type) {
  body = std::move(content);
  set_header("Content-Type", type);
}

void HttpResponse::set_stream(const std::string& type, Stream parts) {
  stream = std::move(parts);
  set_header("Content-Type", type);
}

std::string_view HttpResponse::field(std::string_view name) const noexcept {
  return find(fields, name);
}

const char* reason_phrase(int status) noexcept {
  switch (status) {
  case 200:
    return "OK";
  case 204:
    return "No Content";
  case 400:
    return "Bad Request";
  case 401:
    return "Unauthorized";
  case 403:
    return "Forbidden";
  case 404:
    return "Not Found";
  case 405:
    return "Method Not Allowed";
  case 408:
    return "Request Timeout";
  case 409:
    return "Conflict";
  case 413:
    return "Content Too Large";
  case 414:
    return "URI Too Long";
  case 415:
    return "Unsupported Media Type";
  case 417:
    return "Expectation Failed";
  case 421:
    return "Misdirected Request";
  case 422:
    return "Unprocessable Content";
  case 428:
    return "Precondition Required";
  case 429:
    return "Too Many Requests";
  case 431:
    return "Request Header Fields Too Large";
  case 499:
    return "Client Closed Request";
  case 500:
    return "Internal Server Error";
  case 501:
    return "Not Implemented";
  case 502:
    return "Bad Gateway";
  case 503:
    return "Service Unavailable";
  case 504:
    return "Gateway Timeout";
  default:
    return status < 400 ? "OK" : status < 500 ? "Refused" : "Failed";
  }
}

} // namespace talaria::gateway
