#include "attest/simulated/certificates.hpp"

#include <ctime>
#include <memory>

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "core/error.hpp"

namespace talaria::attest::simulated {
namespace {

template <auto release>
struct Release {
  template <class T>
  void operator()(T* held) const {
    release(held);
  }
};
template <class T, auto release>
using Owned = std::unique_ptr<T, Release<release>>;

void need(bool done, const char* what) {
  if (!done) throw Error(Errc::internal, std::string("OpenSSL cannot ") + what);
}

Owned<X509_NAME, X509_NAME_free> name_of(const std::string& organisation, const std::string& name) {
  Owned<X509_NAME, X509_NAME_free> made(X509_NAME_new());
  const auto add = [&made](const char* field, const std::string& text) {
    return X509_NAME_add_entry_by_txt(made.get(), field, MBSTRING_UTF8,
                                      reinterpret_cast<const u8*>(text.data()),
                                      static_cast<int>(text.size()), -1, 0) == 1;
  };
  need(made && add("O", organisation) && add("CN", name), "make a name");
  return made;
}

Owned<ASN1_TIME, ASN1_TIME_free> time_of(TimePoint time) {
  return Owned<ASN1_TIME, ASN1_TIME_free>(
      ASN1_TIME_set(nullptr, static_cast<std::time_t>(time.time_since_epoch().count())));
}

Owned<X509_EXTENSION, X509_EXTENSION_free> extension_of(const Extension& spec) {
  const Owned<ASN1_OBJECT, ASN1_OBJECT_free> object(OBJ_txt2obj(spec.object.c_str(), 1));
  const Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free> content(ASN1_OCTET_STRING_new());
  need(object && content &&
           ASN1_OCTET_STRING_set(content.get(), spec.content.data(),
                                 static_cast<int>(spec.content.size())) == 1,
       "make an extension");
  return Owned<X509_EXTENSION, X509_EXTENSION_free>(
      X509_EXTENSION_create_by_OBJ(nullptr, object.get(), spec.critical ? 1 : 0, content.get()));
}

/// A signing context for `key`, with AMD's parameters if it is RSA.
Owned<EVP_MD_CTX, EVP_MD_CTX_free> signing(const SigningKey& key) {
  constexpr int kSaltBytes = 48;
  constexpr int kSmallCurve = 256;
  Owned<EVP_MD_CTX, EVP_MD_CTX_free> context(EVP_MD_CTX_new());
  const bool is_small = EVP_PKEY_get_bits(key.get()) == kSmallCurve;
  EVP_PKEY_CTX* options = nullptr;
  need(context &&
           EVP_DigestSignInit(context.get(), &options, is_small ? EVP_sha256() : EVP_sha384(),
                              nullptr, key.get()) == 1,
       "begin to sign");
  if (key.is_rsa())
    need(EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(options, kSaltBytes) == 1 &&
             EVP_PKEY_CTX_set_rsa_mgf1_md(options, EVP_sha384()) == 1,
         "set PSS parameters");
  return context;
}

template <class Encode>
std::vector<u8> encoded(Encode&& encode) {
  u8* bytes = nullptr;
  const int size = encode(&bytes);
  need(size > 0, "encode");
  std::vector<u8> der(bytes, bytes + size);
  OPENSSL_free(bytes);
  return der;
}

} // namespace

std::vector<u8> make_certificate(const CertificateSpec& spec, const SigningKey& subject,
                                 const SigningKey& issuer) {
  constexpr long kVersion3 = 2;
  const Owned<X509, X509_free> made(X509_new());
  need(made && X509_set_version(made.get(), kVersion3) == 1 &&
           ASN1_INTEGER_set_uint64(X509_get_serialNumber(made.get()), spec.serial) == 1 &&
           X509_set_subject_name(made.get(), name_of(spec.organisation, spec.name).get()) == 1 &&
           X509_set_issuer_name(made.get(), name_of(spec.issuer_organisation, spec.issuer).get()) ==
               1 &&
           X509_set1_notBefore(made.get(), time_of(spec.starts).get()) == 1 &&
           X509_set1_notAfter(made.get(), time_of(spec.ends).get()) == 1 &&
           X509_set_pubkey(made.get(), subject.get()) == 1,
       "make a certificate");
  if (spec.is_authority >= 0) {
    const Owned<BASIC_CONSTRAINTS, BASIC_CONSTRAINTS_free> constraints(BASIC_CONSTRAINTS_new());
    constraints->ca = spec.is_authority ? 0xFF : 0;
    need(X509_add1_ext_i2d(made.get(), NID_basic_constraints, constraints.get(), 1, 0) == 1,
         "add basic constraints");
  }
  for (const Extension& each : spec.extensions)
    need(X509_add_ext(made.get(), extension_of(each).get(), -1) == 1, "add an extension");
  need(X509_sign_ctx(made.get(), signing(issuer).get()) > 0, "sign a certificate");
  return encoded([&made](u8** out) { return i2d_X509(made.get(), out); });
}

std::vector<u8> make_revocation_list(const ListSpec& spec, const SigningKey& issuer) {
  const Owned<X509_CRL, X509_CRL_free> made(X509_CRL_new());
  need(made && X509_CRL_set_version(made.get(), 1) == 1 &&
           X509_CRL_set_issuer_name(made.get(), name_of(spec.organisation, spec.issuer).get()) ==
               1 &&
           X509_CRL_set1_lastUpdate(made.get(), time_of(spec.starts).get()) == 1 &&
           X509_CRL_set1_nextUpdate(made.get(), time_of(spec.ends).get()) == 1,
       "make a revocation list");
  for (const u32 serial : spec.serials) {
    const Owned<ASN1_INTEGER, ASN1_INTEGER_free> number(ASN1_INTEGER_new());
    X509_REVOKED* entry = X509_REVOKED_new();
    need(number && entry && ASN1_INTEGER_set_uint64(number.get(), serial) == 1 &&
             X509_REVOKED_set_serialNumber(entry, number.get()) == 1 &&
             X509_REVOKED_set_revocationDate(entry, time_of(spec.starts).get()) == 1 &&
             X509_CRL_add0_revoked(made.get(), entry) == 1,
         "add to a revocation list");
  }
  const Owned<ASN1_INTEGER, ASN1_INTEGER_free> number(ASN1_INTEGER_new());
  need(number && ASN1_INTEGER_set_uint64(number.get(), spec.number) == 1 &&
           X509_CRL_add1_ext_i2d(made.get(), NID_crl_number, number.get(), 0, 0) == 1,
       "number a revocation list");
  for (const Extension& each : spec.extensions)
    need(X509_CRL_add_ext(made.get(), extension_of(each).get(), -1) == 1, "add an extension");
  need(X509_CRL_sort(made.get()) == 1 && X509_CRL_sign_ctx(made.get(), signing(issuer).get()) > 0,
       "sign a revocation list");
  return encoded([&made](u8** out) { return i2d_X509_CRL(made.get(), out); });
}

std::string pem_of(std::span<const u8> der, const char* label) {
  constexpr std::size_t kLine = 64;
  std::vector<u8> base64(der.size() / 3 * 4 + 8);
  const int size = EVP_EncodeBlock(base64.data(), der.data(), static_cast<int>(der.size()));
  const std::string text(base64.begin(), base64.begin() + size);
  std::string pem = std::string("-----BEGIN ") + label + "-----\n";
  for (std::size_t at = 0; at < text.size(); at += kLine) pem += text.substr(at, kLine) + "\n";
  return pem + "-----END " + label + "-----\n";
}

} // namespace talaria::attest::simulated
