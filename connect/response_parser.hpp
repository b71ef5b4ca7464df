#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "gateway/http_message.hpp"

namespace talaria::connect {

/// What a server sends is not a response of HTTP/1.1.
class MalformedResponse : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

struct ResponseHead {
  int status = 0;
  gateway::HttpFields fields;
  bool keep_alive = false;

  /// The first field of that name; empty if there is none.
  std::string_view field(std::string_view name) const noexcept;
};

/// Bytes to one response, by Boost.Beast's parser; interim responses (1xx) are passed over. Heads
/// are bounded; the body is the caller's to take and to bound.
class ResponseParser {
public:
  ResponseParser();
  ~ResponseParser();
  ResponseParser(ResponseParser&&) noexcept;
  ResponseParser& operator=(ResponseParser&&) noexcept;

  /// @throws MalformedResponse
  void feed(std::string_view bytes);
  /// The connection has ended in order. @throws MalformedResponse unless that ends the body.
  void end();

  bool has_head() const noexcept;
  bool is_complete() const noexcept;
  /// Behind the response stands more than belongs to it.
  bool has_excess() const noexcept;
  /// Only with has_head().
  const ResponseHead& head() const noexcept;
  /// What has come of the body since the last call.
  std::string take_body();

private:
  class Beast;
  void restart();

  std::unique_ptr<Beast> beast_;
  std::string unread_;
  unsigned interim_ = 0;
};

} // namespace talaria::connect
