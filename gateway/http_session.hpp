#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/api_error.hpp"
#include "gateway/exchange.hpp"
#include "gateway/request_parser.hpp"
#include "gateway/router.hpp"

namespace talaria::gateway {

/// What one connection says and hears, without a socket: bytes in, requests one after the other,
/// bytes out. What is wrong with a request is answered here; what is right waits for a handler.
class HttpSession {
public:
  struct Settings {
    const Router* router = nullptr;
    std::size_t max_head_bytes = std::size_t{64} << 10;
    int idle_seconds = 120;                     ///< what clients are told
    std::function<void(const Exchange&)> done;  ///< after each exchange
    const std::atomic<bool>* closing = nullptr; ///< no further request; null: never
  };
  /// @param local_host  the address that the client connected to; empty: a Unix socket
  HttpSession(const Settings& settings, std::string local_host, Connection* connection);

  /// Bytes from the client.
  void receive(std::string_view bytes) { in_.append(bytes); }
  /// Reads on. True if a request waits for a handler: then respond() or a stream must follow before
  /// anything else.
  bool advance();

  /// Bytes for the client; consume() what was sent.
  std::string_view output() const { return std::string_view(out_).substr(sent_); }
  void consume(std::size_t bytes);

  /// Nothing more is read; the connection ends when all output is sent.
  bool closing() const noexcept { return closing_; }
  /// The client may still be sending: it needs a moment to read what it got.
  bool lingers() const noexcept { return lingers_; }
  /// A request has begun and is not complete.
  bool is_partial() const noexcept;
  /// The head of the present request is complete.
  bool in_body() const noexcept {
    return parser_ && parser_->state() == RequestParser::State::body;
  }
  /// Bytes held for a request that is not complete or not yet handled.
  std::size_t held() const noexcept;

  /// Answers a request that is not complete, and ends the connection.
  void give_up(const ApiError& error);

  Exchange& exchange() { return *exchange_; }
  void respond(HttpResponse response);
  void begin_stream(HttpResponse& response);
  void add_to_stream(std::string_view part);
  /// @param complete  false: the connection ends without the end of the body
  void end_stream(bool complete);
  /// Ends the connection without another byte.
  void break_off() noexcept;
  /// A sign that does not change the response, which makes a client that is gone answer by a reset:
  /// an interim response, or a comment in a stream of events. Nothing if there is none.
  std::string_view sign_of_life() const noexcept;

private:
  void begin_exchange();
  bool check_head();
  void add_head(HttpResponse& response);
  void finish();

  const Settings& settings_;
  const std::string local_host_;
  Connection* const connection_;
  std::string in_;
  std::size_t read_ = 0; ///< of in_
  std::string out_;
  std::size_t sent_ = 0; ///< of out_
  std::optional<RequestParser> parser_;
  std::unique_ptr<Exchange> exchange_; ///< of the present request, from its head on
  bool handling_ = false;
  bool closing_ = false;
  bool lingers_ = false;
  bool streams_ = false; ///< the head of a stream is out
  bool stream_chunked_ = false;
  bool stream_of_events_ = false;
};

} // namespace talaria::gateway
