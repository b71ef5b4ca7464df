#include "transport/tls.hpp"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <system_error>

#include "core/error.hpp"
#include "transport/x509.hpp"

namespace talaria::transport {
namespace {

constexpr std::size_t kReadBuffer = std::size_t{128} << 10;
constexpr u64 kKeyUpdateBytes = u64{64} << 30;
constexpr std::chrono::hours kEphemeralLife{24 * 3650}; // it ends with the process
constexpr const char* kCiphers = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384";

[[noreturn]] void refuse(const std::filesystem::path& file, const std::string& why) {
  ERR_clear_error();
  throw Error(Errc::config, fmt::format("TLS: {}: {}", file.string(), why));
}

void check_readable(const std::filesystem::path& file) {
  if (::access(file.c_str(), R_OK) != 0) refuse(file, std::generic_category().message(errno));
}

/// As ssh does: a key of ours that others may read is no secret. A key that the administrator owns
/// and shares with our group is his choice.
void check_key_mode(const std::filesystem::path& key) {
  struct stat status {};
  if (::stat(key.c_str(), &status) != 0) refuse(key, std::generic_category().message(errno));
  if (status.st_uid == ::geteuid() && (status.st_mode & 077) != 0)
    refuse(key, fmt::format("the private key is readable by others (mode {:04o}); chmod 600 it",
                            status.st_mode & 07777));
}

void check_certificate(const std::filesystem::path& file, X509* certificate, const char* holder,
                       int purpose) {
  if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0)
    refuse(file, "the certificate has expired; make a new one (talaria certs init)");
  if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0)
    refuse(file, "the certificate is not valid yet; check this machine's clock");
  const bool server = purpose == X509_PURPOSE_SSL_SERVER;
  if (X509_check_purpose(certificate, purpose, 0) != 1)
    refuse(file, fmt::format("the certificate is not made for {}; its extended key usage must "
                             "allow {}",
                             holder, server ? "serverAuth" : "clientAuth"));
}

/// Whoever it is proves that he has the key of his certificate, and evidence must be about that
/// key.
int accept_any(int, X509_STORE_CTX* context) {
  X509_STORE_CTX_set_error(context, X509_V_OK);
  return 1;
}

std::shared_ptr<SSL_CTX> context_for(End end) {
  auto made = tls13_context(end == End::worker ? TLS_server_method() : TLS_client_method());
  SSL_CTX_set_read_ahead(made.get(), 1); // a system call for several records
  SSL_CTX_set_default_read_buffer_len(made.get(), kReadBuffer);
  SSL_CTX_set_verify(made.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return made;
}

} // namespace

std::shared_ptr<SSL_CTX> tls13_context(const SSL_METHOD* method) {
  ERR_clear_error();
  std::shared_ptr<SSL_CTX> made(SSL_CTX_new(method), SSL_CTX_free);
  SSL_CTX* context = made.get();
  if (context == nullptr || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) != 1 ||
      SSL_CTX_set_ciphersuites(context, kCiphers) != 1 || SSL_CTX_set_num_tickets(context, 0) != 1)
    throw Error(Errc::internal, "this OpenSSL offers no TLS 1.3 with AES-GCM");
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_default_passwd_cb(context, no_passphrase);
  return made;
}

void load_own_certificate(SSL_CTX* context, const std::filesystem::path& cert,
                          const std::filesystem::path& key, const char* holder, int purpose) {
  for (const auto& file : {cert, key}) check_readable(file);
  check_key_mode(key);
  if (SSL_CTX_use_certificate_chain_file(context, cert.c_str()) != 1)
    refuse(cert, "no certificate in PEM format");
  check_certificate(cert, SSL_CTX_get0_certificate(context), holder, purpose);
  if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1) {
    const bool other = ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH;
    refuse(key, other ? fmt::format("the key does not belong to {}", cert.string())
                      : "no private key in PEM format without a passphrase");
  }
  if (SSL_CTX_check_private_key(context) != 1)
    refuse(key, fmt::format("the key does not belong to {}", cert.string()));
}

TlsContext::TlsContext(const TlsFiles& files, End end, u64 key_update_bytes)
    : context_(context_for(end)), end_(end), key_update_bytes_(key_update_bytes) {
  const bool worker = end == End::worker;
  trust(files.ca);
  load_own_certificate(context_.get(), files.cert, files.key, worker ? "a worker" : "an enclave",
                       worker ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT);
}

TlsContext::TlsContext(const TlsFiles& files, Strangers strangers)
    : context_(context_for(End::worker)), end_(End::worker), key_update_bytes_(kKeyUpdateBytes),
      strangers_(strangers) {
  if (takes_strangers())
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                       accept_any);
  else
    trust(files.ca);
  load_own_certificate(context_.get(), files.cert, files.key, "a worker", X509_PURPOSE_SSL_SERVER);
}

TlsContext::TlsContext(const EphemeralIdentity& identity)
    : context_(context_for(End::enclave)), end_(End::enclave), key_update_bytes_(kKeyUpdateBytes) {
  trust(identity.ca);
  const auto now = std::chrono::system_clock::now();
  const Credential made = Credential::create(
      {identity.name, CertificateUse::client, now - std::chrono::hours(1), now + kEphemeralLife},
      nullptr);
  if (SSL_CTX_use_certificate(context_.get(), made.certificate()) != 1 ||
      SSL_CTX_use_PrivateKey(context_.get(), made.key()) != 1)
    throw Error(Errc::internal, "OpenSSL does not take the key it has made");
}

void TlsContext::trust(const std::filesystem::path& ca) {
  check_readable(ca);
  if (SSL_CTX_load_verify_file(context_.get(), ca.c_str()) != 1)
    refuse(ca, "no certificate authority in PEM format");
}

} // namespace talaria::transport
