#include "transport/client_tls.hpp"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>

#include "core/error.hpp"
#include "transport/address.hpp"
#include "transport/tls.hpp"

namespace talaria::transport {

namespace {

constexpr std::array<unsigned char, 9> kOnlyHttp11{8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

bool checks_names(const ServerExpectation& expected) {
  return !expected.any_name && !expected.names.empty();
}

/// A key that is pinned vouches for itself; so does one that evidence covers, with `names: any`.
bool checks_chain(const ServerExpectation& expected) {
  return checks_names(expected) ? expected.pins.empty() || !expected.ca.empty()
                                : !expected.ca.empty();
}

void trust_authorities(SSL_CTX* context, const ServerExpectation& expected) {
  ERR_clear_error();
  const bool loaded = expected.ca.empty()
                          ? SSL_CTX_set_default_verify_paths(context) == 1
                          : SSL_CTX_load_verify_file(context, expected.ca.c_str()) == 1;
  ERR_clear_error();
  if (loaded) return;
  throw Error(Errc::config,
              expected.ca.empty()
                  ? std::string("this system has no certificate authorities; name one (service.ca)")
                  : fmt::format("TLS: {}: no certificate authority in PEM format can be read",
                                expected.ca.string()));
}

/// OpenSSL takes an empty name for "any", and ".x" for "anything below x".
void check_name(const std::string& name) {
  if (name.empty() || name.front() == '.' || name.find('*') != std::string::npos)
    throw Error(Errc::config, fmt::format("\"{}\" cannot be the name in a server's certificate; "
                                          "give a host name or an IP address",
                                          name));
}

} // namespace

ClientTls::ClientTls(ServerExpectation expected)
    : expected_(std::move(expected)), context_(tls13_context(TLS_client_method())) {
  if (!expected_.any_name && expected_.names.empty() && expected_.pins.empty())
    throw Error(Errc::config, "nobody is expected at the other end: name the server, or pin its "
                              "key");
  SSL_CTX* context = context_.get();
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  if (SSL_CTX_set_alpn_protos(context, kOnlyHttp11.data(), kOnlyHttp11.size()) != 0)
    throw Error(Errc::internal, "this OpenSSL knows no ALPN");
  if (!expected_.any_name) std::ranges::for_each(expected_.names, check_name);
  SSL_CTX_set_verify(context, checks_chain(expected_) ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  if (checks_chain(expected_)) trust_authorities(context, expected_);
}

ClientTlsStream::ClientTlsStream(const ClientTls& tls, int socket, const std::string& host)
    : TlsStream(SSL_new(tls.context()), socket), tls_(tls) {
  SSL_set_connect_state(ssl());
  if (!is_ip_address(host)) SSL_set_tlsext_host_name(ssl(), host.c_str());
}

ClientTlsStream::Failure ClientTlsStream::failure() const {
  const long verdict = SSL_get_verify_result(ssl());
  if (verdict != X509_V_OK && SSL_get_verify_mode(ssl()) != SSL_VERIFY_NONE)
    return {Problem::certificate,
            fmt::format("the certificate is refused: {}", X509_verify_cert_error_string(verdict))};
  const unsigned long error = last_error();
  if (ERR_GET_LIB(error) != ERR_LIB_SSL)
    return {Problem::cut, "the connection ended before TLS had begun"};
  switch (ERR_GET_REASON(error)) {
  case SSL_R_WRONG_VERSION_NUMBER:
  case SSL_R_HTTP_REQUEST:
  case SSL_R_UNEXPECTED_MESSAGE:
  case SSL_R_INVALID_SEQUENCE_NUMBER:
  case SSL_R_PACKET_LENGTH_TOO_LONG:
    return {Problem::not_tls, "the other end does not speak TLS"};
  case SSL_R_UNSUPPORTED_PROTOCOL:
  case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
  case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
  case SSL_R_TLSV1_ALERT_INSUFFICIENT_SECURITY:
    return {Problem::version, "the other end has no TLS 1.3"};
  default:
    return {Problem::cut, "TLS failed before it had begun"};
  }
}

/// Not by SSL_add1_host(): with a name and an address OpenSSL would demand both.
bool ClientTlsStream::has_expected_name() const {
  const ServerExpectation& expected = tls_.expected();
  if (!checks_names(expected) || !checks_chain(expected)) return true;
  constexpr unsigned kFlags =
      X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;
  const std::unique_ptr<X509, decltype(&X509_free)> shown(SSL_get1_peer_certificate(ssl()),
                                                          X509_free);
  return shown && std::ranges::any_of(expected.names, [&](const std::string& name) {
           return is_ip_address(name) ? X509_check_ip_asc(shown.get(), name.c_str(), 0) == 1
                                      : X509_check_host(shown.get(), name.data(), name.size(),
                                                        kFlags, nullptr) == 1;
         });
}

bool ClientTlsStream::is_expected() const {
  const auto& pins = tls_.expected().pins;
  const bool has_key = pins.empty() || std::ranges::find(pins, peer_key()) != pins.end();
  return has_key && has_expected_name();
}

} // namespace talaria::transport
