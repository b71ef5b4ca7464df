#include "gateway/router.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "gateway/api_error.hpp"

namespace talaria::gateway {

namespace {

constexpr const char* kJson = "application/json";

void refuse(httplib::Response& response, const ApiError& error) {
  response.status = error.status();
  response.set_content(error.body(), kJson);
  if (error.status() == 401) response.set_header("WWW-Authenticate", "Bearer");
  if (error.status() == 429 || error.status() == 503)
    response.set_header("Retry-After", std::to_string(std::max(1U, error.retry_after_s())));
}

template <class Action>
void with_error_objects(httplib::Response& response, const Action& action) {
  try {
    action();
  } catch (const ApiError& error) {
    refuse(response, error);
  } catch (const Error& error) {
    refuse(response, to_api_error(error));
  } catch (const std::exception&) {
    refuse(response, ApiError(500, "internal error"));
  }
}

/// Errors that httplib finds itself.
void describe(httplib::Response& response) {
  if (!response.body.empty()) return;
  Httpd::exchange().close = true; // it may have stopped anywhere in the request
  const char* what = "the request is malformed";
  if (response.status == 413) what = "the body is too long";
  if (response.status == 414) what = "the path is too long";
  if (response.status == 417) what = "the expectation cannot be met";
  if (response.status >= 500) what = "internal error";
  refuse(response, ApiError(response.status, what));
}

ApiError too_long(std::size_t most) {
  return {413, fmt::format("the body is longer than {} bytes", most)};
}

bool announces_body(const httplib::Request& request) {
  return request.has_header("Transfer-Encoding") ||
         (request.has_header("Content-Length") &&
          request.get_header_value("Content-Length") != "0");
}

} // namespace

void Router::get(const std::string& path, Get handler) {
  routes_.push_back({false, path, std::move(handler), nullptr});
}

void Router::post(const std::string& path, Post handler) {
  routes_.push_back({true, path, nullptr, std::move(handler)});
}

void Router::install(Httpd& httpd) {
  using HandlerResponse = httplib::Server::HandlerResponse;
  // httplib finds handlers by regular expression; these paths are plain text.
  httpd.Get(".*", [this](const httplib::Request& request, httplib::Response& response) {
    for (const Route& route : routes_)
      if (route.path == request.path && route.get)
        with_error_objects(response, [&] { route.get(response); });
  });
  httpd.Post(".*", [this](const httplib::Request& request, httplib::Response& response,
                          const httplib::ContentReader& read) {
    for (const Route& route : routes_)
      if (route.path == request.path && route.post)
        with_error_objects(response, [&] { route.post(read_body(read), response); });
  });
  httpd.set_pre_routing_handler(
      [this](const httplib::Request& request, httplib::Response& response) {
        with_error_objects(response, [&] { check(request, response); });
        if (response.status < 400) return HandlerResponse::Unhandled;
        Httpd::exchange().close = Httpd::exchange().close || announces_body(request);
        return HandlerResponse::Handled;
      });
  httpd.set_error_handler(httplib::Server::Handler(
      [](const httplib::Request&, httplib::Response& response) { describe(response); }));
}

void Router::check(const httplib::Request& request, httplib::Response& response) const {
  const auto route = std::find_if(routes_.begin(), routes_.end(),
                                  [&](const Route& r) { return r.path == request.path; });
  if (route == routes_.end())
    throw ApiError(404, "this path is not served here", {}, "unknown_path");
  Exchange& exchange = Httpd::exchange();
  exchange.route = route->path;
  const bool is_get = request.method == "GET" || request.method == "HEAD";
  if (route->is_post ? request.method != "POST" : !is_get) {
    const char* allowed = route->is_post ? "POST" : "GET";
    response.set_header("Allow", allowed);
    throw ApiError(405, fmt::format("use {} for this path", allowed), {}, "method_not_allowed");
  }
  if (guard_ && route->path.starts_with("/v1/")) guard_(request);
  if (!route->is_post) {
    exchange.close = exchange.close || announces_body(request); // httplib leaves it unread
    return;
  }
  // Also keeps web pages out: a browser asks before it sends this type to another site.
  if (!request.get_header_value("Content-Type").starts_with(kJson))
    throw ApiError(415, "the body must be JSON: send Content-Type: application/json");
  const bool chunked = request.has_header("Transfer-Encoding");
  const std::string length = request.get_header_value("Content-Length");
  if (chunked ? !length.empty() : length.empty())
    throw ApiError(400, "give the length of the body as Content-Length, or send it in chunks");
  if (chunked) return;
  std::size_t bytes = 0;
  const auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), bytes);
  if (error == std::errc::result_out_of_range || bytes > most_body_bytes_)
    throw too_long(most_body_bytes_);
  if (error != std::errc() || end != length.data() + length.size())
    throw ApiError(400, "Content-Length must be a number");
}

/// httplib bounds neither chunked nor compressed bodies.
std::string Router::read_body(const httplib::ContentReader& read) const {
  std::string body;
  bool long_body = false;
  const bool complete = read([&](const char* data, std::size_t size) {
    long_body = body.size() + size > most_body_bytes_;
    if (!long_body) body.append(data, size);
    return !long_body;
  });
  if (complete) return body;
  Httpd::exchange().close = true;
  if (long_body) throw too_long(most_body_bytes_);
  throw ApiError(400, "the body ended early or could not be decoded");
}

} // namespace talaria::gateway
