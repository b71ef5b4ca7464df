#include "transport/x509.hpp"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>

#include "core/error.hpp"
#include "transport/address.hpp"

namespace talaria::transport {
namespace {

using Clock = std::chrono::system_clock;
template <class T>
using Owned = std::unique_ptr<T, void (*)(T*)>;
using OwnedBio = std::unique_ptr<BIO, int (*)(BIO*)>;

void need(bool worked, const char* what) {
  if (worked) return;
  ERR_clear_error();
  throw Error(Errc::internal, fmt::format("OpenSSL cannot {}", what));
}

[[noreturn]] void refuse_file(const std::filesystem::path& file, const std::string& why) {
  ERR_clear_error();
  throw Error(Errc::config, fmt::format("{}: {}", file.string(), why));
}

void add_extension(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Owned<X509_EXTENSION> extension(X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()),
                                        X509_EXTENSION_free);
  need(extension && X509_add_ext(certificate, extension.get(), -1) == 1,
       "add an extension to a certificate");
}

void add_extensions(X509* certificate, X509* issuer, const CertificateRequest& request) {
  const auto add = [=](int kind, const std::string& value) {
    add_extension(certificate, issuer, kind, value);
  };
  const bool authority = request.use == CertificateUse::authority;
  add(NID_basic_constraints, authority ? "critical,CA:TRUE,pathlen:0" : "critical,CA:FALSE");
  add(NID_key_usage, authority ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature");
  add(NID_subject_key_identifier, "hash");
  if (authority) return;
  add(NID_authority_key_identifier, "keyid:always");
  add(NID_ext_key_usage, request.use == CertificateUse::server ? "serverAuth" : "clientAuth");
  add(NID_subject_alt_name, (is_ip_address(request.name) ? "IP:" : "DNS:") + request.name);
}

void set_serial(X509* certificate) {
  const Owned<BIGNUM> number(BN_new(), BN_free);
  need(number && BN_rand(number.get(), 126, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
           BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr,
       "number a certificate");
}

void set_subject(X509* certificate, const CertificateRequest& request) {
  X509_NAME* subject = X509_get_subject_name(certificate);
  const std::string common = request.name.substr(0, 64); // X.520 allows no more; SAN has it whole
  need(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                  reinterpret_cast<const unsigned char*>(common.c_str()), -1, -1,
                                  0) == 1,
       "name a certificate");
}

OwnedBio open(const std::filesystem::path& file) {
  OwnedBio bio(BIO_new_file(file.c_str(), "r"), BIO_free);
  if (!bio) refuse_file(file, "cannot be read");
  return bio;
}

std::shared_ptr<X509> read_certificate(const std::filesystem::path& file) {
  std::shared_ptr<X509> certificate(PEM_read_bio_X509(open(file).get(), nullptr, nullptr, nullptr),
                                    X509_free);
  if (!certificate) refuse_file(file, "no certificate in PEM format");
  return certificate;
}

} // namespace

int no_passphrase(char*, int, int, void*) {
  return -1;
}

Credential::Credential(std::shared_ptr<x509_st> certificate, std::shared_ptr<evp_pkey_st> key)
    : certificate_(std::move(certificate)), key_(std::move(key)) {}

Credential Credential::create(const CertificateRequest& request, const Credential* issuer) {
  std::shared_ptr<EVP_PKEY> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  need(key != nullptr, "make a P-256 key");
  std::shared_ptr<X509> certificate(X509_new(), X509_free);
  X509* x = certificate.get();
  need(x != nullptr && X509_set_version(x, X509_VERSION_3) == 1, "make a certificate");
  set_serial(x);
  set_subject(x, request);
  X509* signer = issuer == nullptr ? x : issuer->certificate_.get();
  need(X509_set_issuer_name(x, X509_get_subject_name(signer)) == 1 &&
           X509_set_pubkey(x, key.get()) == 1 &&
           ASN1_TIME_set(X509_getm_notBefore(x), Clock::to_time_t(request.starts)) != nullptr &&
           ASN1_TIME_set(X509_getm_notAfter(x), Clock::to_time_t(request.ends)) != nullptr,
       "fill a certificate");
  add_extensions(x, signer, request);
  EVP_PKEY* signing_key = issuer == nullptr ? key.get() : issuer->key_.get();
  need(X509_sign(x, signing_key, EVP_sha256()) != 0, "sign a certificate");
  return {std::move(certificate), std::move(key)};
}

Credential Credential::read(const std::filesystem::path& certificate,
                            const std::filesystem::path& key) {
  std::shared_ptr<X509> x = read_certificate(certificate);
  std::shared_ptr<EVP_PKEY> k(
      PEM_read_bio_PrivateKey(open(key).get(), nullptr, no_passphrase, nullptr), EVP_PKEY_free);
  if (!k) refuse_file(key, "no private key in PEM format without a passphrase");
  if (X509_check_private_key(x.get(), k.get()) != 1)
    refuse_file(key, fmt::format("the key does not belong to {}", certificate.string()));
  return {std::move(x), std::move(k)};
}

std::string Credential::certificate_pem() const {
  const OwnedBio out(BIO_new(BIO_s_mem()), BIO_free);
  need(out && PEM_write_bio_X509(out.get(), certificate_.get()) == 1, "write a certificate");
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

SecretBuffer<char> Credential::key_pem() const {
  const OwnedBio out(BIO_new(BIO_s_secmem()), BIO_free);
  need(out && PEM_write_bio_PKCS8PrivateKey(out.get(), key_.get(), nullptr, nullptr, 0, nullptr,
                                            nullptr) == 1,
       "write a key");
  char* text = nullptr;
  const std::size_t size = static_cast<std::size_t>(BIO_get_mem_data(out.get(), &text));
  SecretBuffer<char> pem(size);
  std::copy(text, text + size, pem.data());
  return pem;
}

bool Credential::is_living_authority() const {
  return X509_check_ca(certificate_.get()) == 1 &&
         X509_cmp_current_time(X509_get0_notAfter(certificate_.get())) > 0;
}

Clock::time_point Credential::ends() const {
  int days = 0;
  int seconds = 0;
  need(ASN1_TIME_diff(&days, &seconds, nullptr, X509_get0_notAfter(certificate_.get())) == 1,
       "read the time in a certificate");
  return Clock::now() + std::chrono::hours(24) * days + std::chrono::seconds(seconds);
}

bool certificate_names(const std::filesystem::path& file, const std::string& name) {
  const std::shared_ptr<X509> certificate = read_certificate(file);
  if (is_ip_address(name)) return X509_check_ip_asc(certificate.get(), name.c_str(), 0) == 1;
  return X509_check_host(certificate.get(), name.c_str(), name.size(), 0, nullptr) == 1;
}

} // namespace talaria::transport
