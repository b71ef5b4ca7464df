#include "transport/tls_keys.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>

#include "core/error.hpp"

namespace talaria::transport {

std::vector<u8> exporter_of(SSL* ssl, std::string_view label, std::string_view context,
                            std::size_t bytes) {
  std::vector<u8> out(bytes);
  ERR_clear_error();
  if (SSL_is_init_finished(ssl) != 1 ||
      SSL_export_keying_material(ssl, out.data(), out.size(), label.data(), label.size(),
                                 reinterpret_cast<const unsigned char*>(context.data()),
                                 context.size(), 1) != 1)
    throw Error(Errc::internal, "TLS has no keys to export before its handshake");
  return out;
}

Sha256Digest key_digest(const X509* certificate) {
  unsigned char* der = nullptr;
  const int size =
      certificate == nullptr ? -1 : i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  ERR_clear_error();
  if (size <= 0) throw Error(Errc::internal, "there is no certificate whose key could be named");
  const Sha256Digest digest = sha256({der, static_cast<std::size_t>(size)});
  OPENSSL_free(der);
  return digest;
}

Sha256Digest peer_key_digest(const SSL* ssl) {
  const std::unique_ptr<X509, decltype(&X509_free)> shown(SSL_get1_peer_certificate(ssl),
                                                          X509_free);
  return key_digest(shown.get());
}

} // namespace talaria::transport
