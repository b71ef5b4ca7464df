#include "gateway/router.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "gateway/access_policy.hpp"
#include "gateway/api_error.hpp"
#include "gateway/content_coding.hpp"

namespace talaria::gateway {

namespace {

constexpr const char* kJson = "application/json";

template <class Action>
void with_error_objects(HttpResponse& response, const Action& action) {
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

/// The media type alone; types are compared without case (RFC 9110 section 8.3.1).
bool is_json(std::string_view content_type) {
  std::string_view type = content_type.substr(0, content_type.find(';'));
  while (type.ends_with(' ') || type.ends_with('\t')) type.remove_suffix(1);
  return same_name(type, kJson);
}

} // namespace

void refuse(HttpResponse& response, const ApiError& error) {
  response.status = error.status();
  response.stream = nullptr;
  response.set_content(error.body(), kJson);
  if (error.status() == 401) response.set_header("WWW-Authenticate", "Bearer");
  if (error.status() == 429 || error.status() == 503)
    response.set_header("Retry-After", std::to_string(std::max(1U, error.retry_after_s())));
}

void Router::get(const std::string& path, Get handler, On on) {
  routes_.push_back({false, path, std::move(handler), nullptr, on, guard_});
}

void Router::post(const std::string& path, Post handler) {
  routes_.push_back({true, path, nullptr, std::move(handler), On::a_thread_of_its_own, guard_});
}

const Router::Route* Router::find(const std::string& path) const {
  const auto route =
      std::find_if(routes_.begin(), routes_.end(), [&](const Route& r) { return r.path == path; });
  return route == routes_.end() ? nullptr : &*route;
}

bool Router::is_post(const Exchange& exchange) const {
  const Route* route = find(exchange.route);
  return route != nullptr && route->is_post;
}

bool Router::check(Exchange& exchange, const std::string& local_host,
                   HttpResponse& response) const {
  bool complete = false;
  with_error_objects(response, [&] {
    if (policy_ != nullptr) policy_->check(exchange, local_host);
    complete = AccessPolicy::is_preflight(exchange);
    if (complete) return AccessPolicy::answer_preflight(exchange, response);
    const Route& route = admit(exchange, local_host, response);
    complete = !route.is_post && route.on == On::the_spot;
    if (complete) route.get(response);
  });
  if (complete || response.status >= 400) exchange.close |= exchange.request.announces_body();
  return complete || response.status >= 400;
}

const Router::Route& Router::admit(Exchange& exchange, const std::string&,
                                   HttpResponse& response) const {
  const HttpRequest& request = exchange.request;
  const Route* route = find(request.path);
  if (route == nullptr) throw ApiError(404, "this path is not served here", {}, "unknown_path");
  exchange.route = route->path;
  const bool is_get = request.method == "GET" || request.method == "HEAD";
  if (route->is_post ? request.method != "POST" : !is_get) {
    const char* allowed = route->is_post ? "POST" : "GET";
    response.set_header("Allow", allowed);
    throw ApiError(405, fmt::format("use {} for this path", allowed), {}, "method_not_allowed");
  }
  if (route->guard) route->guard(exchange, response);
  if (request.has("Expect") && !same_name(request.field("Expect"), "100-continue"))
    throw ApiError(417, "the expectation cannot be met");
  if (route->is_post)
    check_body(request);
  else
    exchange.close |= request.announces_body(); // it is not read
  return *route;
}

void Router::check_body(const HttpRequest& request) const {
  // Also keeps web pages out: a browser asks before it sends this type to another site.
  if (!is_json(request.field("Content-Type")))
    throw ApiError(415, "the body must be JSON: send Content-Type: application/json");
  if (!is_known_coding(request.field("Content-Encoding")))
    throw ApiError(415, "this Content-Encoding is not known here: send gzip, deflate or none");
  if (!request.chunked && !request.content_length)
    throw ApiError(400, "give the length of the body as Content-Length, or send it in chunks");
  if (request.content_length.value_or(0) > max_body_bytes_)
    throw ApiError(413, fmt::format("the body is longer than {} bytes", max_body_bytes_));
}

void Router::handle(Exchange& exchange, HttpResponse& response) const {
  with_error_objects(response, [&] {
    const Route& route = *find(exchange.route);
    if (!route.is_post) return route.get(response);
    std::string body = std::exchange(exchange.request.body, {});
    const auto coding = exchange.request.field("Content-Encoding");
    route.post(decoded(std::move(body), coding, max_body_bytes_), response);
  });
}

} // namespace talaria::gateway
