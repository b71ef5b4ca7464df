#include "transport/tls_stream.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "core/error.hpp"
#include "transport/tls_keys.hpp"

namespace talaria::transport {

namespace {

constexpr u64 kUpdateKeyAfter = u64{64} << 30; // RFC 8446 section 5.5; OpenSSL does not count
constexpr std::size_t kMaxAtOnce = std::size_t{1} << 20;

} // namespace

/// OpenSSL's own socket functions raise SIGPIPE, and need a socket that never blocks.
struct TlsStream::Bio {
  static int socket(BIO* bio) { return static_cast<TlsStream*>(BIO_get_data(bio))->socket_; }
  static bool try_again() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }
  static int read(BIO* bio, char* out, int n) {
    BIO_clear_retry_flags(bio);
    const ssize_t got = ::recv(socket(bio), out, static_cast<std::size_t>(n), MSG_DONTWAIT);
    if (got < 0 && try_again()) BIO_set_retry_read(bio);
    return static_cast<int>(got);
  }
  static int write(BIO* bio, const char* data, int n) {
    BIO_clear_retry_flags(bio);
    const ssize_t put =
        ::send(socket(bio), data, static_cast<std::size_t>(n), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (put < 0 && try_again()) BIO_set_retry_write(bio);
    return static_cast<int>(put);
  }
  static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

  static const BIO_METHOD* method() {
    static const std::unique_ptr<BIO_METHOD, decltype(&BIO_meth_free)> kMethod = [] {
      BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "talaria stream");
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

void TlsStream::Free::operator()(ssl_st* ssl) const noexcept {
  SSL_free(ssl);
}

TlsStream::TlsStream(ssl_st* ssl, int socket) : socket_(socket), ssl_(ssl) {
  BIO* bio = ssl == nullptr ? nullptr : BIO_new(Bio::method());
  if (bio == nullptr) throw Error(Errc::internal, "OpenSSL cannot make a connection");
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl, bio, bio);
}

TlsStream::~TlsStream() = default;

IoResult TlsStream::result_of(int returned, std::size_t bytes) {
  using Kind = IoResult::Kind;
  if (returned == 1) return {Kind::done, bytes};
  const int error = SSL_get_error(ssl(), returned);
  last_error_ = ERR_peek_error();
  ERR_clear_error();
  if (error == SSL_ERROR_WANT_READ) return {Kind::wants_input, 0};
  if (error == SSL_ERROR_WANT_WRITE) return {Kind::wants_output, 0};
  return {error == SSL_ERROR_ZERO_RETURN ? Kind::closed : Kind::failed, 0};
}

IoResult TlsStream::handshake() {
  ERR_clear_error();
  return result_of(SSL_do_handshake(ssl()), 0);
}

IoResult TlsStream::read(char* out, std::size_t size) {
  ERR_clear_error();
  std::size_t got = 0;
  const int returned = SSL_read_ex(ssl(), out, size, &got);
  return result_of(returned, got);
}

IoResult TlsStream::write(const char* data, std::size_t size) {
  ERR_clear_error();
  if (since_key_update_ >= kUpdateKeyAfter &&
      SSL_key_update(ssl(), SSL_KEY_UPDATE_NOT_REQUESTED) == 1)
    since_key_update_ = 0;
  std::size_t put = 0;
  const int returned = SSL_write_ex(ssl(), data, std::min(size, kMaxAtOnce), &put);
  since_key_update_ += put;
  return result_of(returned, put);
}

IoResult TlsStream::close_notify() {
  ERR_clear_error();
  const int returned = SSL_shutdown(ssl());
  return result_of(returned >= 0 ? 1 : returned, 0);
}

bool TlsStream::has_pending() const noexcept {
  return SSL_has_pending(ssl()) != 0;
}

std::vector<u8> TlsStream::exporter(std::string_view label, std::string_view context,
                                    std::size_t bytes) const {
  return exporter_of(ssl(), label, context, bytes);
}

Sha256Digest TlsStream::own_key() const {
  return key_digest(SSL_get_certificate(ssl()));
}

Sha256Digest TlsStream::peer_key() const {
  return peer_key_digest(ssl());
}

} // namespace talaria::transport
