#include "gateway/http_session.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "gateway/access_policy.hpp"
#include "gateway/api_error.hpp"
#include "telemetry/trace_id.hpp"

namespace talaria::gateway {

namespace {

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
constexpr std::string_view kComment = "3\r\n:\n\n\r\n"; // of server-sent events, as a chunk
constexpr std::size_t kKeptCapacity = 16 << 10;         // bytes of a buffer between two requests

/// Logs take what clients send from this list alone.
std::string known_method(std::string_view method) {
  constexpr std::array<std::string_view, 9> kKnown{"GET",     "HEAD",  "POST",    "PUT",  "DELETE",
                                                   "OPTIONS", "PATCH", "CONNECT", "TRACE"};
  const auto known = std::find(kKnown.begin(), kKnown.end(), method);
  return known == kKnown.end() ? "-" : std::string(*known);
}

std::string date() {
  const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  return fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", fmt::gmtime(now));
}

} // namespace

HttpSession::HttpSession(const Settings& settings, std::string local_host, Connection* connection)
    : settings_(settings), local_host_(std::move(local_host)), connection_(connection) {}

void HttpSession::consume(std::size_t bytes) {
  sent_ += bytes;
  if (sent_ < out_.size()) return;
  sent_ = 0;
  out_.clear();
  if (out_.capacity() > kKeptCapacity) out_.shrink_to_fit();
}

bool HttpSession::is_partial() const noexcept {
  return !handling_ && !closing_ && (parser_.has_value() || read_ < in_.size());
}

std::size_t HttpSession::held() const noexcept {
  return in_.size() + (parser_ ? parser_->held() : 0) +
         (exchange_ ? exchange_->request.body.size() : 0);
}

bool HttpSession::advance() {
  while (!handling_ && !closing_ && read_ < in_.size()) {
    if (!parser_)
      parser_.emplace(
          RequestParser::Limits{settings_.max_head_bytes, settings_.router->max_body_bytes()});
    const auto before = parser_->state();
    std::size_t used = 0;
    try {
      used = parser_->feed(std::string_view(in_).substr(read_));
    } catch (const ApiError& error) {
      give_up(error);
      break;
    }
    read_ += used;
    const auto state = parser_->state();
    const bool head_is_new = before == RequestParser::State::head && before != state;
    if (head_is_new && !check_head()) continue;
    const bool unread = head_is_new && !settings_.router->is_post(*exchange_); // a GET's body
    lingers_ = lingers_ || (unread && exchange_->request.announces_body());
    if (unread || state == RequestParser::State::complete) {
      exchange_->request.body = std::move(parser_->request().body);
      handling_ = true;
    }
    if (used == 0 && !handling_) break;
  }
  in_.erase(0, closing_ ? in_.size() : read_);
  read_ = 0;
  if (in_.empty() && in_.capacity() > kKeptCapacity) in_.shrink_to_fit();
  return handling_;
}

void HttpSession::begin_exchange() {
  exchange_ = std::make_unique<Exchange>();
  exchange_->arrived = std::chrono::system_clock::now();
  exchange_->began = std::chrono::steady_clock::now();
  exchange_->connection = connection_;
  exchange_->trace = telemetry::new_trace_id();
  exchange_->context = {telemetry::new_trace_id(), exchange_->trace};
}

/// False if the request is answered already.
bool HttpSession::check_head() {
  begin_exchange();
  Exchange& exchange = *exchange_;
  HttpRequest& request = exchange.request;
  request = parser_->request();
  exchange.method = known_method(request.method);
  exchange.close = exchange.close || !request.keep_alive;
  if (const auto named = telemetry::parse_traceparent(request.field("traceparent"))) {
    exchange.context = *named;
    exchange.trace = named->low;
  }
  HttpResponse response;
  const ExchangeScope scope(exchange);
  if (settings_.router->check(exchange, local_host_, response)) {
    lingers_ = lingers_ || request.announces_body();
    respond(std::move(response));
    return false;
  }
  const bool waits = same_name(request.field("Expect"), "100-continue") && !request.http_1_0;
  if (waits && request.announces_body() && read_ == in_.size()) out_ += kContinue;
  return true;
}

void HttpSession::give_up(const ApiError& error) {
  if (!exchange_) begin_exchange();
  exchange_->close = lingers_ = true;
  HttpResponse response;
  refuse(response, error);
  respond(std::move(response));
}

void HttpSession::add_head(HttpResponse& response) {
  Exchange& exchange = *exchange_;
  exchange.close = exchange.close || (settings_.closing != nullptr && *settings_.closing);
  AccessPolicy::add_fields(exchange, response);
  response.set_header("X-Request-Id", telemetry::to_hex(exchange.trace));
  response.set_header("Date", date());
  response.set_header("Connection", exchange.close ? "close" : "keep-alive");
  if (!exchange.close)
    response.set_header("Keep-Alive", fmt::format("timeout={}", settings_.idle_seconds));
  out_ += fmt::format("HTTP/1.1 {} {}\r\n", response.status, reason_phrase(response.status));
  for (const auto& [name, value] : response.fields) {
    out_.append(name).append(": ");
    std::copy_if(value.begin(), value.end(), std::back_inserter(out_),
                 [](char c) { return c != '\r' && c != '\n' && c != '\0'; });
    out_ += "\r\n";
  }
  out_ += "\r\n";
  exchange.status = response.status;
}

void HttpSession::respond(HttpResponse response) {
  if (response.status != 204)
    response.set_header("Content-Length", std::to_string(response.body.size()));
  add_head(response);
  if (exchange_->request.method != "HEAD") out_ += response.body;
  finish();
}

void HttpSession::begin_stream(HttpResponse& response) {
  stream_chunked_ = !exchange_->request.http_1_0;
  stream_of_events_ = response.field("Content-Type") == "text/event-stream";
  if (stream_chunked_)
    response.set_header("Transfer-Encoding", "chunked");
  else
    exchange_->close = true; // its end is the end of the body
  add_head(response);
  streams_ = true;
}

void HttpSession::add_to_stream(std::string_view part) {
  if (part.empty()) return; // an empty chunk is the last one
  if (stream_chunked_) out_ += fmt::format("{:x}\r\n", part.size());
  out_ += part;
  if (stream_chunked_) out_ += "\r\n";
}

void HttpSession::end_stream(bool complete) {
  if (complete && stream_chunked_) out_ += "0\r\n\r\n";
  if (!complete) exchange_->close = true;
  streams_ = false;
  finish();
}

void HttpSession::break_off() noexcept {
  handling_ = lingers_ = false;
  closing_ = true;
  consume(out_.size() - sent_);
  parser_.reset();
  exchange_.reset();
}

std::string_view HttpSession::sign_of_life() const noexcept {
  if (!exchange_ || exchange_->request.http_1_0) return {};
  if (!streams_) return kContinue;
  return stream_of_events_ ? kComment : std::string_view();
}

void HttpSession::finish() {
  closing_ = closing_ || exchange_->close;
  handling_ = false;
  parser_.reset();
  const auto ended = std::move(exchange_);
  if (settings_.done) settings_.done(*ended);
}

} // namespace talaria::gateway
