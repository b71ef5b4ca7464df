#include "transport/tls_channel.hpp"

#include <fmt/format.h>
#include <linux/sockios.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include "core/error.hpp"
#include "transport/tls_keys.hpp"

namespace talaria::transport {
namespace {

constexpr std::size_t kMaxPerWrite = std::size_t{16} << 20; // bytes between two looks at the key
constexpr std::size_t kGathered = std::size_t{128} << 10;   // bytes to a system call

std::string openssl_reason(unsigned long error) {
  const char* text = ERR_reason_error_string(error);
  const std::string reason = text == nullptr ? "TLS failed" : text;
  const bool alert =
      ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) > SSL_AD_REASON_OFFSET;
  return alert ? "the other end refuses: " + reason : reason;
}

} // namespace

i64 steady_ns() noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(SteadyClock::now().time_since_epoch())
      .count();
}

/// OpenSSL's own socket functions raise SIGPIPE, know no deadline and count nothing.
struct TlsChannel::Bio {
  static TlsChannel& of(BIO* bio) { return *static_cast<TlsChannel*>(BIO_get_data(bio)); }
  static int read(BIO* bio, char* out, int n) { return of(bio).receive(out, n); }
  static int write(BIO* bio, const char* data, int n) { return of(bio).gather(data, n); }
  static long control(BIO* bio, int command, long, void*) {
    return command == BIO_CTRL_FLUSH && of(bio).flush() ? 1 : 0;
  }

  static const BIO_METHOD* method() {
    static const std::unique_ptr<BIO_METHOD, decltype(&BIO_meth_free)> kMethod = [] {
      BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "talaria socket");
      if (m != nullptr) {
        BIO_meth_set_read(m, read);
        BIO_meth_set_write(m, write);
        BIO_meth_set_ctrl(m, control);
      }
      return std::unique_ptr<BIO_METHOD, decltype(&BIO_meth_free)>(m, BIO_meth_free);
    }();
    return kMethod.get();
  }
};

TlsChannel::TlsChannel(const TlsContext& context, Socket socket, const std::string& peer_name)
    : socket_(std::move(socket)), end_(context.end()),
      key_update_bytes_(context.key_update_bytes()), traffic_(std::make_shared<Traffic>()) {
  // OpenSSL takes an empty name for "any", and ".x" for "anything below x".
  if (peer_name.empty() || peer_name.front() == '.' || peer_name.find('*') != std::string::npos)
    throw Error(Errc::config, fmt::format("\"{}\" cannot be the name in the other end's "
                                          "certificate; give a host name or an IP address",
                                          peer_name));
  ssl_ = SSL_new(context.get());
  BIO* bio = ssl_ == nullptr ? nullptr : BIO_new(Bio::method());
  if (bio == nullptr || SSL_set1_host(ssl_, peer_name.c_str()) != 1) {
    BIO_free(bio);
    SSL_free(ssl_);
    throw Error(Errc::internal, "OpenSSL cannot make a connection");
  }
  SSL_set_hostflags(ssl_, X509_CHECK_FLAG_NO_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_, bio, bio);
}

TlsChannel::~TlsChannel() {
  SSL_free(ssl_);
}

void TlsChannel::share(std::shared_ptr<Traffic> traffic) {
  traffic->received += traffic_->received;
  traffic->sent += traffic_->sent;
  traffic->last_received = steady_ns();
  traffic_ = std::move(traffic);
}

bool TlsChannel::wait(short events) noexcept {
  if (!deadline_) return true; // the socket blocks
  pollfd waiting{socket_.get(), events, 0};
  for (;;) {
    const int ready = ::poll(&waiting, 1, milliseconds_until(*deadline_));
    if (ready > 0) return true;
    timed_out_ = ready == 0;
    if (timed_out_ || errno != EINTR) return false;
  }
}

int TlsChannel::receive(char* out, int n) noexcept {
  const int flags = deadline_ ? MSG_DONTWAIT : 0;
  for (;;) {
    const ssize_t got = ::recv(socket_.get(), out, static_cast<std::size_t>(n), flags);
    if (got > 0) {
      traffic_->received.fetch_add(static_cast<u64>(got), std::memory_order_relaxed);
      traffic_->last_received.store(steady_ns(), std::memory_order_relaxed);
      return static_cast<int>(got);
    }
    if (got == 0) {
      closed_ = true;
      return 0;
    }
    const bool would_block = errno == EAGAIN || errno == EWOULDBLOCK;
    if (errno == EINTR || (would_block && wait(POLLIN))) continue;
    errno_ = errno;
    return -1;
  }
}

int TlsChannel::gather(const char* data, int n) noexcept {
  try {
    unsent_.insert(unsent_.end(), data, data + n);
  } catch (const std::bad_alloc&) {
    errno_ = ENOMEM;
    return -1;
  }
  return unsent_.size() < kGathered || flush() ? n : -1;
}

bool TlsChannel::flush() noexcept {
  const int flags = MSG_NOSIGNAL | (deadline_ ? MSG_DONTWAIT : 0);
  for (std::size_t done = 0; done < unsent_.size();) {
    const ssize_t put = ::send(socket_.get(), unsent_.data() + done, unsent_.size() - done, flags);
    if (put > 0) {
      done += static_cast<std::size_t>(put);
      traffic_->sent.fetch_add(static_cast<u64>(put), std::memory_order_relaxed);
      continue;
    }
    const bool would_block = errno == EAGAIN || errno == EWOULDBLOCK;
    if (errno == EINTR || (would_block && wait(POLLOUT))) continue;
    errno_ = errno;
    return false;
  }
  unsent_.clear();
  return true;
}

void TlsChannel::fail(const char* doing) {
  std::string why;
  const unsigned long error = ERR_peek_error();
  const long verdict = SSL_get_verify_result(ssl_);
  if (timed_out_)
    why = "no answer in time";
  else if (verdict != X509_V_OK)
    why = fmt::format("its certificate is refused: {}", X509_verify_cert_error_string(verdict));
  else if (error != 0)
    why = openssl_reason(error);
  else if (closed_ || errno_ == 0)
    why = "the connection was closed";
  else
    why = std::generic_category().message(errno_);
  ERR_clear_error();
  throw Error(Errc::no_worker, fmt::format("{}: {}", doing, why));
}

void TlsChannel::handshake() {
  ERR_clear_error();
  const int done = end_ == End::worker ? SSL_accept(ssl_) : SSL_connect(ssl_);
  if (done != 1) fail("TLS handshake");
}

void TlsChannel::read(std::span<u8> out) {
  ERR_clear_error();
  while (!out.empty()) {
    std::size_t got = 0;
    if (SSL_read_ex(ssl_, out.data(), out.size(), &got) != 1) fail("receiving");
    out = out.subspan(got);
  }
}

void TlsChannel::write(std::span<const u8> bytes, std::span<const u8> more) {
  ERR_clear_error();
  seal(bytes);
  seal(more);
  if (!flush()) fail("sending");
}

void TlsChannel::seal(std::span<const u8> bytes) {
  while (!bytes.empty()) {
    if (since_key_update_ >= key_update_bytes_) {
      if (SSL_key_update(ssl_, SSL_KEY_UPDATE_NOT_REQUESTED) != 1) fail("changing the key");
      since_key_update_ = 0;
    }
    std::size_t put = 0;
    if (SSL_write_ex(ssl_, bytes.data(), std::min(bytes.size(), kMaxPerWrite), &put) != 1)
      fail("sending");
    since_key_update_ += put;
    bytes = bytes.subspan(put);
  }
}

bool TlsChannel::can_write_at_once(std::size_t bytes) const noexcept {
  int size = 0;
  int queued = 0;
  socklen_t length = sizeof size;
  if (::getsockopt(socket_.get(), SOL_SOCKET, SO_SNDBUF, &size, &length) != 0 ||
      ::ioctl(socket_.get(), SIOCOUTQ, &queued) != 0)
    return false;
  const std::size_t wanted = 2 * bytes; // the kernel counts its bookkeeping as well
  return static_cast<std::size_t>(queued) + wanted <= static_cast<std::size_t>(size);
}

bool TlsChannel::wait_readable(Milliseconds limit) {
  if (SSL_has_pending(ssl_) != 0) return true;
  pollfd waiting{socket_.get(), POLLIN, 0};
  return ::poll(&waiting, 1, milliseconds_until(SteadyClock::now() + limit)) > 0;
}

Sha256Digest TlsChannel::peer_certificate() const {
  const std::unique_ptr<X509, decltype(&X509_free)> shown(SSL_get1_peer_certificate(ssl_),
                                                          X509_free);
  Sha256Digest digest{};
  unsigned size = 0;
  if (!shown || X509_digest(shown.get(), EVP_sha256(), digest.data(), &size) != 1)
    throw Error(Errc::no_worker, "the other end has shown no certificate");
  return digest;
}

TlsExporter TlsChannel::exporter() const {
  TlsExporter out{};
  std::ranges::copy(exporter_of(ssl_, kChannelBindingLabel, {}, out.size()), out.begin());
  return out;
}

Sha256Digest TlsChannel::own_key() const {
  return key_digest(SSL_get_certificate(ssl_));
}

Sha256Digest TlsChannel::peer_key() const {
  return peer_key_digest(ssl_);
}

void TlsChannel::interrupt() noexcept {
  ::shutdown(socket_.get(), SHUT_RDWR);
}

void TlsChannel::linger(Milliseconds limit) noexcept {
  ::shutdown(socket_.get(), SHUT_WR);
  const TimePoint until = SteadyClock::now() + limit;
  std::array<char, 4096> ignored;
  pollfd waiting{socket_.get(), POLLIN, 0};
  while (::poll(&waiting, 1, milliseconds_until(until)) > 0 && SteadyClock::now() < until &&
         ::recv(socket_.get(), ignored.data(), ignored.size(), MSG_DONTWAIT) > 0) {
  }
}

} // namespace talaria::transport
