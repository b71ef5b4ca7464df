#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <string>
#include <string_view>

#include "core/integers.hpp"

namespace talaria::tests {

/// A client that sends what it is told, byte by byte, whether or not that is HTTP.
class RawClient {
public:
  explicit RawClient(u16 port, const char* from = "127.0.0.1")
      : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    ::inet_pton(AF_INET, from, &address.sin_addr);
    BOOST_REQUIRE(::bind(socket_, generic, sizeof address) == 0);
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    BOOST_REQUIRE(::connect(socket_, generic, sizeof address) == 0);
  }
  ~RawClient() { close(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  int socket() const { return socket_; }
  void send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t count = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return; // the server has closed
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
  }
  void end_sending() const { ::shutdown(socket_, SHUT_WR); }
  void close() {
    if (socket_ >= 0) ::close(socket_);
    socket_ = -1;
  }
  /// As a process that is killed with unread bytes does.
  void reset() {
    const linger at_once{1, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close();
  }

  /// Everything until the server closes.
  std::string rest() const {
    std::string out;
    char buffer[4096];
    for (ssize_t n = 0; (n = ::recv(socket_, buffer, sizeof buffer, 0)) > 0;)
      out.append(buffer, static_cast<std::size_t>(n));
    return out;
  }
  /// Until `end` has come, or the server closes.
  std::string until(std::string_view end) const {
    std::string out;
    char byte;
    while (out.find(end) == std::string::npos && ::recv(socket_, &byte, 1, 0) == 1) out += byte;
    return out;
  }
  /// The status of the next response, whose body has a length.
  int status() const {
    const std::string head = until("\r\n\r\n");
    const std::size_t length = head.find("Content-Length: ");
    if (length != std::string::npos) {
      std::string body(std::stoul(head.substr(length + 16)), '\0');
      if (!body.empty()) ::recv(socket_, body.data(), body.size(), MSG_WAITALL);
    }
    return head.size() < 12 ? -1 : std::stoi(head.substr(9, 3));
  }

private:
  int socket_;
};

} // namespace talaria::tests
