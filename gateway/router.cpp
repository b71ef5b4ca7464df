#include "gateway/router.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "gateway/access_policy.hpp"
#include "gateway/api_error.hpp"
#include "gateway/content_coding.hpp"
#include "telemetry/trace_id.hpp"

namespace talaria::gateway {

namespace {

constexpr const char* kJson = "application/json";
constexpr const char* kOtherwise = "*"; // no path: those begin with a slash

/// Whether `pattern` is "/a/*" and `path` "/a/b".
bool lies_below(std::string_view pattern, std::string_view path) {
  if (!pattern.ends_with("/*")) return false;
  pattern.remove_suffix(1);
  return path.size() > pattern.size() && path.starts_with(pattern);
}

/// The media type alone; types are compared without case (RFC 9110 section 8.3.1).
bool is_json(std::string_view content_type) {
  std::string_view type = content_type.substr(0, content_type.find(';'));
  while (type.ends_with(' ') || type.ends_with('\t')) type.remove_suffix(1);
  return same_name(type, kJson);
}

} // namespace

void refuse(HttpResponse& response, const ApiError& error, ErrorShape shape,
            const std::string& request) {
  response.status = error.status();
  response.stream = nullptr;
  response.set_content(error.body(shape, request), kJson);
  if (shape == ErrorShape::anthropic) response.set_header("request-id", request);
  if (error.status() == 401) response.set_header("WWW-Authenticate", "Bearer");
  if (error.status() == 429 || error.status() == 503)
    response.set_header("Retry-After", std::to_string(std::max(1U, error.retry_after_s())));
}

template <class Action>
void Router::with_error_objects(const Exchange& exchange, HttpResponse& response,
                                const Action& action) const {
  const auto say = [&](const ApiError& error) {
    const Route* route = find(exchange.request.path);
    refuse(response, error, route == nullptr ? ErrorShape::openai : route->errors,
           telemetry::to_hex(exchange.trace));
  };
  try {
    action();
  } catch (const ApiError& error) {
    say(error);
  } catch (const Error& error) {
    say(to_api_error(error));
  } catch (const std::exception&) {
    say(ApiError(500, "internal error"));
  }
}

/// The route of `path`, made if it is new. One path may be for GET and for POST.
Router::Route& Router::at(const std::string& path) {
  const auto route =
      std::find_if(routes_.begin(), routes_.end(), [&](const Route& r) { return r.path == path; });
  if (route != routes_.end()) return *route;
  return routes_.emplace_back(
      Route{path, nullptr, nullptr, On::a_thread_of_its_own, guard_, errors_});
}

void Router::get(const std::string& path, Get handler, On on) {
  Route& route = at(path);
  route.get = std::move(handler);
  route.on = on;
}

void Router::post(const std::string& path, Post handler) {
  at(path).post = std::move(handler);
}

void Router::otherwise(Get get, Post post) {
  Route& route = at(kOtherwise);
  route.get = std::move(get);
  route.post = std::move(post);
}

const Router::Route* Router::find(const std::string& path) const {
  const Route* above = nullptr;
  const Route* other = nullptr;
  for (const Route& route : routes_) {
    if (route.path == path) return &route;
    if (route.path == kOtherwise)
      other = &route;
    else if (lies_below(route.path, path))
      above = &route;
  }
  return above != nullptr ? above : other;
}

bool Router::is_post(const Exchange& exchange) const {
  const Route* route = find(exchange.route);
  return route != nullptr && route->post && exchange.method == "POST";
}

bool Router::is_long(const Exchange& exchange) const {
  const Route* route = find(exchange.route);
  return is_post(exchange) || (route != nullptr && route->on == On::a_thread_for_long);
}

bool Router::check(Exchange& exchange, const std::string& local_host,
                   HttpResponse& response) const {
  bool complete = false;
  with_error_objects(exchange, response, [&] {
    if (policy_ != nullptr) policy_->check(exchange, local_host);
    complete = AccessPolicy::is_preflight(exchange);
    if (complete) return AccessPolicy::answer_preflight(exchange, response);
    const Route& route = admit(exchange, local_host, response);
    complete = !is_post(exchange) && route.on == On::the_spot;
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
  if (!(is_get && route->get) && !(request.method == "POST" && route->post)) {
    const char* allowed = !route->get ? "POST" : !route->post ? "GET" : "GET, POST";
    response.set_header("Allow", allowed);
    throw ApiError(405, fmt::format("use {} for this path", allowed), {}, "method_not_allowed");
  }
  if (route->guard) route->guard(exchange, response);
  if (request.has("Expect") && !same_name(request.field("Expect"), "100-continue"))
    throw ApiError(417, "the expectation cannot be met");
  if (is_post(exchange))
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
  with_error_objects(exchange, response, [&] {
    const Route& route = *find(exchange.route);
    if (!is_post(exchange)) return route.get(response);
    std::string body = std::exchange(exchange.request.body, {});
    const auto coding = exchange.request.field("Content-Encoding");
    route.post(decoded(std::move(body), coding, max_body_bytes_), response);
  });
}

} // namespace talaria::gateway
