#pragma once

#include <memory>
#include <string_view>

#include "gateway/http_message.hpp"

namespace talaria::gateway {

/// Bytes to one request, by Boost.Beast's parser and what RFC 9112 asks of a server beyond it: one
/// Host, one length, no transfer coding but chunked. Every byte counts against a bound: the head's,
/// the body's, or one for what stands around the chunks of a body.
class RequestParser {
public:
  struct Limits {
    std::size_t head = std::size_t{64} << 10; ///< bytes
    std::size_t body = std::size_t{4} << 20;  ///< bytes of a body in chunks
  };
  enum class State { head, body, complete };

  explicit RequestParser(Limits limits);
  ~RequestParser();

  /// Reads the start of `bytes`, which goes on where the last call stopped; returns how many bytes
  /// are read and not needed again. Stops behind the head and behind the request.
  /// @throws ApiError 400, 413, 414, 431 or 501; the rest of the connection means nothing then.
  std::size_t feed(std::string_view bytes);

  State state() const noexcept;
  HttpRequest& request() noexcept;
  /// Bytes of the body so far.
  std::size_t held() const noexcept;

private:
  class Beast;
  std::unique_ptr<Beast> beast_;
};

} // namespace talaria::gateway
