#pragma once

#include <poll.h>

#include <stdexcept>
#include <string>

#include "connect/response_parser.hpp"
#include "transport/client_tls.hpp"
#include "transport/socket.hpp"

namespace talaria::tests {

/// A TLS client that trusts anybody and says what it is told. Fit for any thread.
class RawTls {
public:
  explicit RawTls(u16 port)
      : socket_(transport::connect_to({"127.0.0.1", port},
                                      transport::SteadyClock::now() + std::chrono::minutes(1))),
        tls_(anybody(), socket_.get(), "127.0.0.1") {
    if (repeat([this] { return tls_.handshake(); }).kind != transport::IoResult::Kind::done)
      throw std::runtime_error("no TLS");
  }

  const transport::ClientTlsStream& tls() const { return tls_; }

  /// A response to one request with a body of JSON, or to a GET.
  struct Answer {
    int status = 0;
    std::string body;
    std::string field; ///< Talaria-Attestation
  };
  Answer post(const std::string& path, const std::string& body) {
    return ask("POST " + path +
               " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
               "Content-Length: " +
               std::to_string(body.size()) + "\r\n\r\n" + body);
  }
  Answer get(const std::string& path) {
    return ask("GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  }

private:
  static const transport::ClientTls& anybody() {
    static const transport::ClientTls tls([] {
      transport::ServerExpectation expected;
      expected.any_name = true;
      return expected;
    }());
    return tls;
  }

  template <class Step>
  transport::IoResult repeat(const Step& step) {
    for (;;) {
      const auto result = step();
      const bool in = result.kind == transport::IoResult::Kind::wants_input;
      if (!in && result.kind != transport::IoResult::Kind::wants_output) return result;
      pollfd waiting{socket_.get(), static_cast<short>(in ? POLLIN : POLLOUT), 0};
      ::poll(&waiting, 1, -1);
    }
  }

  Answer ask(const std::string& request) {
    if (repeat([&] { return tls_.write(request.data(), request.size()); }).bytes != request.size())
      throw std::runtime_error("not wholly sent");
    connect::ResponseParser parser;
    Answer answer;
    char buffer[4096];
    while (!parser.is_complete()) {
      const auto result = repeat([&] { return tls_.read(buffer, sizeof buffer); });
      if (result.kind != transport::IoResult::Kind::done) return answer;
      parser.feed({buffer, result.bytes});
      answer.body += parser.take_body();
    }
    answer.status = parser.head().status;
    answer.field = parser.head().field("Talaria-Attestation");
    return answer;
  }

  transport::Socket socket_;
  transport::ClientTlsStream tls_;
};

} // namespace talaria::tests
