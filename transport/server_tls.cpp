#include "transport/server_tls.hpp"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/error.hpp"
#include "transport/tls.hpp"

namespace talaria::transport {

namespace {

constexpr std::array<unsigned char, 9> kHttp11{8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
constexpr u64 kKeyUpdateBytes = u64{64} << 30; // RFC 8446 section 5.5; OpenSSL does not count
constexpr std::size_t kMaxPerWrite = std::size_t{1} << 20;

/// A client that offers only other protocols cannot use what it would get.
int choose_http(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                unsigned in_size, void*) {
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kHttp11.data(), kHttp11.size(), in, in_size) !=
      OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

std::string version_of(const std::filesystem::path& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) return "none";
  return fmt::format("{}.{} {} {} {}", status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
                     status.st_size, status.st_ino, status.st_dev);
}

std::shared_ptr<SSL_CTX> make_context(const std::filesystem::path& cert,
                                      const std::filesystem::path& key) {
  std::shared_ptr<SSL_CTX> made = tls13_context(TLS_server_method());
  SSL_CTX* context = made.get();
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_alpn_select_cb(context, choose_http, nullptr);
  load_own_certificate(context, cert, key, "a server", X509_PURPOSE_SSL_SERVER);
  return made;
}

} // namespace

ServerTls::ServerTls(std::filesystem::path cert, std::filesystem::path key)
    : cert_(std::move(cert)), key_(std::move(key)), version_(version_of(cert_) + version_of(key_)) {
  context_ = make_context(cert_, key_);
}

bool ServerTls::reload_if_changed() {
  const std::lock_guard reading(reading_);
  const std::string version = version_of(cert_) + version_of(key_);
  if (version == version_) return false;
  version_ = version;
  auto context = make_context(cert_, key_);
  const std::lock_guard lock(mutex_);
  context_ = std::move(context);
  return true;
}

std::shared_ptr<ssl_ctx_st> ServerTls::context() const {
  const std::lock_guard lock(mutex_);
  return context_;
}

/// OpenSSL's own socket functions raise SIGPIPE, and need a socket that never blocks.
struct ServerTlsStream::Bio {
  static int socket(BIO* bio) { return static_cast<ServerTlsStream*>(BIO_get_data(bio))->socket_; }
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
      BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "talaria client");
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

ServerTlsStream::ServerTlsStream(const ServerTls& tls, int socket)
    : socket_(socket), ssl_(SSL_new(tls.context().get())) {
  BIO* bio = ssl_ == nullptr ? nullptr : BIO_new(Bio::method());
  if (bio == nullptr) {
    SSL_free(ssl_);
    throw Error(Errc::internal, "OpenSSL cannot make a connection");
  }
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_, bio, bio);
  SSL_set_accept_state(ssl_);
}

ServerTlsStream::~ServerTlsStream() {
  SSL_free(ssl_);
}

IoResult ServerTlsStream::result_of(int returned, std::size_t bytes) {
  using Kind = IoResult::Kind;
  if (returned == 1) return {Kind::done, bytes};
  const int error = SSL_get_error(ssl_, returned);
  ERR_clear_error();
  if (error == SSL_ERROR_WANT_READ) return {Kind::wants_input, 0};
  if (error == SSL_ERROR_WANT_WRITE) return {Kind::wants_output, 0};
  return {error == SSL_ERROR_ZERO_RETURN ? Kind::closed : Kind::failed, 0};
}

IoResult ServerTlsStream::handshake() {
  ERR_clear_error();
  return result_of(SSL_do_handshake(ssl_), 0);
}

IoResult ServerTlsStream::read(char* out, std::size_t size) {
  ERR_clear_error();
  std::size_t got = 0;
  const int returned = SSL_read_ex(ssl_, out, size, &got);
  return result_of(returned, got);
}

IoResult ServerTlsStream::write(const char* data, std::size_t size) {
  ERR_clear_error();
  if (since_key_update_ >= kKeyUpdateBytes &&
      SSL_key_update(ssl_, SSL_KEY_UPDATE_NOT_REQUESTED) == 1)
    since_key_update_ = 0;
  std::size_t put = 0;
  const int returned = SSL_write_ex(ssl_, data, std::min(size, kMaxPerWrite), &put);
  since_key_update_ += put;
  return result_of(returned, put);
}

IoResult ServerTlsStream::close_notify() {
  ERR_clear_error();
  const int returned = SSL_shutdown(ssl_);
  return result_of(returned >= 0 ? 1 : returned, 0);
}

bool ServerTlsStream::has_pending() const noexcept {
  return SSL_has_pending(ssl_) != 0;
}

std::vector<u8> ServerTlsStream::exporter(std::string_view label, std::string_view context,
                                          std::size_t bytes) const {
  std::vector<u8> out(bytes);
  ERR_clear_error();
  if (SSL_is_init_finished(ssl_) != 1 ||
      SSL_export_keying_material(ssl_, out.data(), out.size(), label.data(), label.size(),
                                 reinterpret_cast<const unsigned char*>(context.data()),
                                 context.size(), 1) != 1)
    throw Error(Errc::internal, "TLS has no keys to export before its handshake");
  return out;
}

} // namespace talaria::transport
