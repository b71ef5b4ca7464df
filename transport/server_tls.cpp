#include "transport/server_tls.hpp"

#include <fmt/format.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <array>
#include <utility>

#include "transport/tls.hpp"

namespace talaria::transport {

namespace {

constexpr std::array<unsigned char, 9> kHttp11{8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

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

ServerTlsStream::ServerTlsStream(const ServerTls& tls, int socket)
    : TlsStream(SSL_new(tls.context().get()), socket) {
  SSL_set_accept_state(ssl());
}

} // namespace talaria::transport
