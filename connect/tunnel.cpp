#include "connect/tunnel.hpp"

#include <sys/socket.h>

#include <cerrno>

#include <fmt/format.h>

#include "connect/response_parser.hpp"
#include "core/error.hpp"

namespace talaria::connect {

namespace {

constexpr std::size_t kMostOfProxy = 16 << 10; // bytes of a head

[[noreturn]] void refuse_tunnel(const ServerAddress& server, const std::string& why) {
  throw Error(Errc::io, fmt::format("the proxy {} {}", to_string(*server.via), why));
}

void send_whole(const transport::Socket& socket, std::string_view bytes,
                const ServerAddress& server) {
  while (!bytes.empty()) {
    const ssize_t put = ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (put <= 0) refuse_tunnel(server, "ended the connection");
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
}

/// One byte at a time: what stands behind the head is the server's.
std::string read_head(const transport::Socket& socket, const Patience& patience,
                      const ServerAddress& server) {
  std::string head;
  while (!head.ends_with("\r\n\r\n")) {
    char byte = 0;
    if (!wait_for_bytes(socket.get(), patience)) refuse_tunnel(server, "does not answer in time");
    if (::recv(socket.get(), &byte, 1, 0) != 1) refuse_tunnel(server, "ended the connection");
    head += byte;
    if (head.size() > kMostOfProxy) refuse_tunnel(server, "answers something that does not end");
  }
  return head;
}

} // namespace

transport::Socket connect_through(const ServerAddress& server, const Patience& patience) {
  if (!server.via) return transport::connect_to(server.address, patience.deadline);
  transport::Socket socket = transport::connect_to(*server.via, patience.deadline);
  const std::string to = to_string(server.address);
  send_whole(socket, fmt::format("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", to), server);
  ResponseParser parser;
  try {
    parser.feed(read_head(socket, patience, server));
  } catch (const MalformedResponse& malformed) {
    refuse_tunnel(server, fmt::format("answers something else: {}", malformed.what()));
  }
  if (!parser.has_head() || parser.head().status / 100 != 2)
    refuse_tunnel(server, fmt::format("refuses ({})", parser.head().status));
  return socket;
}

} // namespace talaria::connect
