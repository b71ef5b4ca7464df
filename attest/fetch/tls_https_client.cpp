#include <openssl/err.h>
#include <openssl/ssl.h>

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>

#include <fmt/format.h>

#include "attest/fetch/https_client.hpp"
#include "core/error.hpp"
#include "core/file_descriptor.hpp"

namespace talaria::attest {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t kMostBody = std::size_t{1} << 20;
constexpr std::size_t kMostBytes = kMostBody + (std::size_t{64} << 10);
constexpr milliseconds kBetweenLooks{100}; ///< at whether it is to stop

[[noreturn]] void fail_get(const std::string& host, const char* what) {
  ERR_clear_error();
  throw Error(Errc::io, fmt::format("https://{}: {}", host, what));
}

/// One request: its host, the time it has, and whether somebody wants it to end.
struct Attempt {
  const std::string& host;
  Clock::time_point deadline;
  const std::atomic<bool>& stopped;

  /// Returns when `fd` is ready for `events`. @throws Error{io} when time is up.
  void await(int fd, short events) const {
    for (;;) {
      if (stopped) fail_get(host, "stopped");
      const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now());
      if (left.count() <= 0) fail_get(host, "no answer in time");
      pollfd waiting{fd, events, 0};
      if (::poll(&waiting, 1, static_cast<int>(std::min(left, kBetweenLooks).count())) == 1) return;
    }
  }
};

bool connects(const FileDescriptor& socket, const addrinfo& address, const Attempt& attempt) {
  if (::connect(socket.get(), address.ai_addr, address.ai_addrlen) == 0) return true;
  if (errno != EINPROGRESS) return false;
  attempt.await(socket.get(), POLLOUT);
  int error = 0;
  socklen_t size = sizeof error;
  return ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

FileDescriptor connect_to_host(const Attempt& attempt, const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(attempt.host.c_str(), port.c_str(), &hints, &found) != 0)
    fail_get(attempt.host, "the name is not known");
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, ::freeaddrinfo);
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    FileDescriptor socket(
        ::socket(each->ai_family, each->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (socket && connects(socket, *each, attempt)) return socket;
  }
  fail_get(attempt.host, "nobody answers");
}

class TlsHttpsClient final : public HttpsClient {
public:
  explicit TlsHttpsClient(HttpsOptions options)
      : options_(std::move(options)), context_(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free) {
    if (!context_ || SSL_CTX_set_min_proto_version(context_.get(), TLS1_2_VERSION) != 1)
      throw Error(Errc::internal, "TLS cannot be set up");
    const auto& own = options_.authorities;
    const int known = own.empty() ? SSL_CTX_set_default_verify_paths(context_.get())
                                  : SSL_CTX_load_verify_file(context_.get(), own.c_str());
    if (known != 1)
      throw Error(Errc::io, own.string() + ": no certificates of authorities can be read there");
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
  }

  void stop() noexcept override { stopped_ = true; }

  HttpsReply get(const std::string& host, const std::string& target) override {
    Attempt attempt{host, Clock::now() + options_.whole, stopped_};
    const FileDescriptor socket = connect_to_host(attempt, options_.port);
    const std::unique_ptr<SSL, decltype(&SSL_free)> tls(SSL_new(context_.get()), &SSL_free);
    if (!tls || SSL_set_fd(tls.get(), socket.get()) != 1 ||
        SSL_set_tlsext_host_name(tls.get(), host.c_str()) != 1 ||
        SSL_set1_host(tls.get(), host.c_str()) != 1)
      fail_get(host, "TLS cannot be set up");
    if (repeat(*tls, attempt, [&] { return SSL_connect(tls.get()); }) != 1)
      fail_get(host, "no TLS, or not with a certificate of its name");
    const std::string request = fmt::format(
        "GET {} HTTP/1.1\r\nHost: {}\r\nAccept: */*\r\nConnection: close\r\n\r\n", target, host);
    if (repeat(*tls, attempt, [&] {
          return SSL_write(tls.get(), request.data(), static_cast<int>(request.size()));
        }) <= 0)
      fail_get(host, "the connection ended");
    return parse_https_reply(read_all(*tls, attempt), kMostBody);
  }

private:
  /// Calls `step` until it wants to wait for nothing, and gives its last result.
  template <class Step>
  static int repeat(SSL& tls, const Attempt& attempt, const Step& step) {
    for (;;) {
      errno = 0;
      ERR_clear_error();
      const int result = step();
      if (result > 0) return result;
      const int why = SSL_get_error(&tls, result);
      if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) return result;
      attempt.await(SSL_get_fd(&tls), why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT);
    }
  }

  static std::string read_all(SSL& tls, const Attempt& attempt) {
    std::string bytes;
    std::array<char, 16384> part{};
    for (;;) {
      const int got = repeat(
          tls, attempt, [&] { return SSL_read(&tls, part.data(), static_cast<int>(part.size())); });
      if (got <= 0) {
        const int why = SSL_get_error(&tls, got);
        // Servers that end without a farewell are seen by the length of what they sent.
        if (why == SSL_ERROR_ZERO_RETURN || (why == SSL_ERROR_SSL && !bytes.empty())) break;
        if (why == SSL_ERROR_SYSCALL && errno == 0) break;
        fail_get(attempt.host, "the connection broke");
      }
      bytes.append(part.data(), static_cast<std::size_t>(got));
      if (bytes.size() > kMostBytes) fail_get(attempt.host, "the answer is too long");
      if (attempt.stopped || Clock::now() > attempt.deadline)
        fail_get(attempt.host, "the answer takes too long");
    }
    ERR_clear_error();
    return bytes;
  }

  const HttpsOptions options_;
  std::atomic<bool> stopped_{false};
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
};

} // namespace

std::unique_ptr<HttpsClient> tls_https_client(HttpsOptions options) {
  return std::make_unique<TlsHttpsClient>(std::move(options));
}

} // namespace talaria::attest
