#include <openssl/err.h>
#include <openssl/ssl.h>

#include <chrono>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <fmt/format.h>

#include "attest/fetch/https_client.hpp"
#include "core/error.hpp"
#include "core/file_descriptor.hpp"

namespace talaria::attest {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostBody = std::size_t{1} << 20;
constexpr std::size_t kMostBytes = kMostBody + (std::size_t{64} << 10);
constexpr int kSilenceSeconds = 10;
constexpr std::chrono::seconds kWhole{30};

[[noreturn]] void fail_get(const std::string& host, const char* what) {
  ERR_clear_error();
  throw Error(Errc::io, fmt::format("https://{}: {}", host, what));
}

/// A connection to port 443 that gives up after a while without a byte.
FileDescriptor connect_to_host(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), "443", &hints, &found) != 0)
    fail_get(host, "the name is not known");
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, ::freeaddrinfo);
  const timeval patience{kSilenceSeconds, 0};
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    FileDescriptor socket(::socket(each->ai_family, each->ai_socktype | SOCK_CLOEXEC, 0));
    if (!socket) continue;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (::connect(socket.get(), each->ai_addr, each->ai_addrlen) == 0) return socket;
  }
  fail_get(host, "nobody answers");
}

class TlsHttpsClient final : public HttpsClient {
public:
  TlsHttpsClient() : context_(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free) {
    if (!context_ || SSL_CTX_set_min_proto_version(context_.get(), TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_default_verify_paths(context_.get()) != 1)
      throw Error(Errc::internal, "TLS cannot be set up");
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
  }

  HttpsReply get(const std::string& host, const std::string& target) override {
    const auto deadline = Clock::now() + kWhole;
    const FileDescriptor socket = connect_to_host(host);
    const std::unique_ptr<SSL, decltype(&SSL_free)> tls(SSL_new(context_.get()), &SSL_free);
    if (!tls || SSL_set_fd(tls.get(), socket.get()) != 1 ||
        SSL_set_tlsext_host_name(tls.get(), host.c_str()) != 1 ||
        SSL_set1_host(tls.get(), host.c_str()) != 1)
      fail_get(host, "TLS cannot be set up");
    if (SSL_connect(tls.get()) != 1)
      fail_get(host, "no TLS, or not with a certificate of its name");
    const std::string request = fmt::format(
        "GET {} HTTP/1.1\r\nHost: {}\r\nAccept: */*\r\nConnection: close\r\n\r\n", target, host);
    if (SSL_write(tls.get(), request.data(), static_cast<int>(request.size())) <= 0)
      fail_get(host, "the connection ended");
    return parse_https_reply(read_all(*tls, host, deadline), kMostBody);
  }

private:
  static std::string read_all(SSL& tls, const std::string& host, Clock::time_point deadline) {
    std::string bytes;
    std::array<char, 16384> part{};
    for (;;) {
      const int got = SSL_read(&tls, part.data(), static_cast<int>(part.size()));
      if (got <= 0) {
        const int why = SSL_get_error(&tls, got);
        // Servers that end without a farewell are seen by the length of what they sent.
        if (why == SSL_ERROR_ZERO_RETURN || (why == SSL_ERROR_SSL && !bytes.empty())) break;
        if (why == SSL_ERROR_SYSCALL && errno == 0) break;
        fail_get(host, "no answer in time, or the connection broke");
      }
      bytes.append(part.data(), static_cast<std::size_t>(got));
      if (bytes.size() > kMostBytes) fail_get(host, "the answer is too long");
      if (Clock::now() > deadline) fail_get(host, "the answer takes too long");
    }
    ERR_clear_error();
    return bytes;
  }

  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
};

} // namespace

std::unique_ptr<HttpsClient> tls_https_client() {
  return std::make_unique<TlsHttpsClient>();
}

} // namespace talaria::attest
