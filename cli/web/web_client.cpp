#include "cli/web/web_client.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "connect/response_parser.hpp"
#include "core/error.hpp"
#include "core/secret.hpp"
#include "transport/socket.hpp"

namespace talaria::cli {

namespace {

using transport::IoResult;
using Kind = transport::IoResult::Kind;

constexpr std::chrono::seconds kToConnect{15};
constexpr std::size_t kMostBody = std::size_t{64} << 20; ///< of an answer that is kept
constexpr std::size_t kPieceBytes = 16 << 10;

Error unreachable(const Url& url, const std::string& why) {
  return {Errc::io, fmt::format("{}: {}", url.text, why)};
}

transport::Socket connect_to_file(const Url& url) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  const std::string path = url.socket.string();
  if (path.size() >= sizeof name.sun_path) throw unreachable(url, "the path is too long");
  std::memcpy(name.sun_path, path.data(), path.size());
  transport::Socket socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto* address = reinterpret_cast<const sockaddr*>(&name);
  if (!socket || ::connect(socket.get(), address, sizeof name) != 0)
    throw unreachable(url, std::strerror(errno));
  return socket;
}

transport::Socket connect_to_server(const Url& url) {
  if (!url.socket.empty()) return connect_to_file(url);
  try {
    return transport::connect_to(url.address, transport::SteadyClock::now() + kToConnect);
  } catch (const Error& error) { // its message begins with the address
    throw Error(Errc::io, error.what());
  }
}

/// No line end gets into a head.
void add_header(std::string& head, std::string_view name, std::string_view value) {
  head.append(name).append(": ");
  for (const char c : value)
    if (c != '\r' && c != '\n' && c != '\0') head += c;
  head += "\r\n";
}

} // namespace

/// One connection.
class WebClient::Wire {
public:
  explicit Wire(const WebClient& client)
      : client_(client), socket_(connect_to_server(client.options_.url)) {
    if (!client.tls_) return;
    tls_.emplace(*client.tls_, socket_.get(), client.options_.url.address.host);
    const bool is_done = until_done([this] { return tls_->handshake(); }).kind == Kind::done;
    if (!is_done) throw unreachable(client.options_.url, "TLS: " + tls_->failure().reason);
    if (!tls_->is_expected())
      throw unreachable(client.options_.url, "the certificate is another server's");
  }

  void write(std::string_view bytes) {
    while (!bytes.empty()) {
      const IoResult result = until_done([&] { return send(bytes); });
      if (result.kind != Kind::done)
        throw unreachable(client_.options_.url, "the connection ended before all was sent");
      bytes.remove_prefix(result.bytes);
    }
  }
  /// Feeds what has come to `parser`. False at the end of the connection.
  bool read_into(connect::ResponseParser& parser) {
    std::array<char, kPieceBytes> piece;
    const IoResult result = until_done([&] { return receive(piece.data()); });
    if (result.kind == Kind::closed) return parser.end(), false;
    if (result.kind != Kind::done) throw unreachable(client_.options_.url, "the connection broke");
    parser.feed({piece.data(), result.bytes});
    wipe(piece.data(), result.bytes);
    return true;
  }

private:
  static IoResult result_of(ssize_t count, Kind wanted) {
    if (count > 0) return {Kind::done, static_cast<std::size_t>(count)};
    if (count == 0) return {Kind::closed, 0};
    return {errno == EAGAIN || errno == EINTR ? wanted : Kind::failed, 0};
  }
  IoResult send(std::string_view bytes) {
    if (tls_) return tls_->write(bytes.data(), bytes.size());
    return result_of(::send(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL),
                     Kind::wants_output);
  }
  IoResult receive(char* out) {
    if (tls_) return tls_->read(out, kPieceBytes);
    return result_of(::recv(socket_.get(), out, kPieceBytes, MSG_DONTWAIT), Kind::wants_input);
  }
  template <class Step>
  IoResult until_done(const Step& step) {
    const auto silence = client_.options_.silence.count();
    for (;;) {
      const IoResult result = step();
      if (result.kind != Kind::wants_input && result.kind != Kind::wants_output) return result;
      const short events = result.kind == Kind::wants_input ? POLLIN : POLLOUT;
      switch (client_.wake_.wait(socket_.get(), events,
                                 silence == 0 ? -1 : static_cast<int>(silence))) {
      case Wake::Got::woken:
        throw Error(Errc::cancelled, "interrupted");
      case Wake::Got::timeout:
        throw unreachable(client_.options_.url, "the server says nothing");
      case Wake::Got::ready:
        break;
      }
    }
  }

  const WebClient& client_;
  transport::Socket socket_;
  std::optional<transport::ClientTlsStream> tls_;
};

std::string_view WebClient::Answer::field(std::string_view name) const noexcept {
  for (const auto& [each, value] : fields)
    if (gateway::same_name(each, name)) return value;
  return {};
}

WebClient::WebClient(Options options) : options_(std::move(options)) {
  if (options_.url.tls)
    tls_ = std::make_unique<transport::ClientTls>(
        transport::ServerExpectation{{options_.url.address.host}, false, options_.ca, {}});
}

std::string WebClient::head_of(const std::string& path, const std::string& body) const {
  std::string head = fmt::format("{} {} HTTP/1.1\r\n", body.empty() ? "GET" : "POST", path);
  add_header(head, "Host", options_.url.authority);
  add_header(head, "Connection", "close");
  add_header(head, "User-Agent", "talaria");
  if (!options_.key.empty()) add_header(head, "Authorization", "Bearer " + options_.key);
  for (const auto& [name, value] : options_.headers) add_header(head, name, value);
  if (!body.empty()) {
    add_header(head, "Content-Type", "application/json");
    add_header(head, "Content-Length", std::to_string(body.size()));
  }
  return head + "\r\n";
}

WebClient::Answer WebClient::request(const std::string& path, const std::string& body,
                                     const TakePart& take) {
  Wire wire(*this);
  wire.write(head_of(path, body));
  wire.write(body);
  Answer answer;
  connect::ResponseParser parser;
  try {
    for (bool more = true; more && !parser.is_complete();) {
      more = wire.read_into(parser);
      if (!parser.has_head()) continue;
      const std::string part = parser.take_body();
      if (take && parser.head().status == 200) {
        if (!part.empty() && !take(part)) break;
        continue;
      }
      answer.body += part;
      if (answer.body.size() > kMostBody) throw unreachable(options_.url, "the answer is too long");
    }
  } catch (const connect::MalformedResponse& malformed) {
    throw unreachable(options_.url, malformed.what());
  }
  answer.status = parser.head().status;
  answer.fields = parser.head().fields;
  return answer;
}

} // namespace talaria::cli
