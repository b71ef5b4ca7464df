#include "attest/evidence/certificate.hpp"

#include <ctime>
#include <map>

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "attest/evidence/encodings.hpp"

namespace talaria::attest {
namespace {

constexpr std::size_t kMaxCertificates = 8;
constexpr std::size_t kMaxBytes = std::size_t{64} << 10;
constexpr int kAmdSaltBytes = 48;
constexpr int kAmdRootBits = 4096;

bool is_sha384(const X509_ALGOR* algorithm) {
  const ASN1_OBJECT* object = nullptr;
  if (algorithm) X509_ALGOR_get0(&object, nullptr, nullptr, algorithm);
  return object && OBJ_obj2nid(object) == NID_sha384;
}

/// The parameters' meaning: their DER comes with and without the default trailer.
bool is_amd_pss(const X509_ALGOR* algorithm) {
  const ASN1_OBJECT* object = nullptr;
  int type = 0;
  const void* value = nullptr;
  X509_ALGOR_get0(&object, &type, &value, algorithm);
  if (OBJ_obj2nid(object) != NID_rsassaPss || type != V_ASN1_SEQUENCE) return false;
  const std::unique_ptr<RSA_PSS_PARAMS, decltype(&RSA_PSS_PARAMS_free)> pss(
      static_cast<RSA_PSS_PARAMS*>(
          ASN1_item_unpack(static_cast<const ASN1_STRING*>(value), ASN1_ITEM_rptr(RSA_PSS_PARAMS))),
      RSA_PSS_PARAMS_free);
  if (!pss || !pss->maskGenAlgorithm || !is_sha384(pss->hashAlgorithm)) return false;
  const ASN1_OBJECT* mask = nullptr;
  int mask_type = 0;
  const void* mask_value = nullptr;
  X509_ALGOR_get0(&mask, &mask_type, &mask_value, pss->maskGenAlgorithm);
  if (OBJ_obj2nid(mask) != NID_mgf1 || mask_type != V_ASN1_SEQUENCE) return false;
  const std::unique_ptr<X509_ALGOR, decltype(&X509_ALGOR_free)> mask_hash(
      static_cast<X509_ALGOR*>(ASN1_item_unpack(static_cast<const ASN1_STRING*>(mask_value),
                                                ASN1_ITEM_rptr(X509_ALGOR))),
      X509_ALGOR_free);
  return is_sha384(mask_hash.get()) && pss->saltLength &&
         ASN1_INTEGER_get(pss->saltLength) == kAmdSaltBytes &&
         (!pss->trailerField || ASN1_INTEGER_get(pss->trailerField) == 1);
}

bool follows(SignatureRule rule, const X509_ALGOR* algorithm, const PublicKey& key) {
  if (rule == SignatureRule::rsa_pss_sha384)
    return key.kind() == PublicKey::Kind::rsa && key.bits() >= kAmdRootBits &&
           is_amd_pss(algorithm);
  const ASN1_OBJECT* object = nullptr;
  X509_ALGOR_get0(&object, nullptr, nullptr, algorithm);
  return key.kind() == PublicKey::Kind::p256 && OBJ_obj2nid(object) == NID_ecdsa_with_SHA256;
}

/// The blocks of a PEM text, decoded. Nothing if anything but `label` blocks and white space is
/// there.
std::optional<std::vector<std::vector<u8>>> pem_blocks(std::string_view text,
                                                       const std::string& label) {
  const std::string begin = "-----BEGIN " + label + "-----";
  const std::string end = "-----END " + label + "-----";
  std::vector<std::vector<u8>> blocks;
  for (;;) {
    const std::size_t start = text.find_first_not_of(" \t\r\n");
    if (start == text.npos) return blocks;
    text.remove_prefix(start);
    if (!text.starts_with(begin) || blocks.size() == kMaxCertificates) return std::nullopt;
    text.remove_prefix(begin.size());
    const std::size_t stop = text.find(end);
    if (stop == text.npos) return std::nullopt;
    auto block = from_base64(text.substr(0, stop));
    if (!block) return std::nullopt;
    blocks.push_back(std::move(*block));
    text.remove_prefix(stop + end.size());
  }
}

std::string name_entry(const X509_NAME* name, int nid) {
  const int at = X509_NAME_get_index_by_NID(name, nid, -1);
  if (at < 0 || X509_NAME_get_index_by_NID(name, nid, at) >= 0) return {};
  u8* text = nullptr;
  const int size =
      ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
  if (size < 0) return {};
  const std::string value(reinterpret_cast<const char*>(text), static_cast<std::size_t>(size));
  OPENSSL_free(text);
  return value;
}

bool is_known(const X509_EXTENSION* extension) {
  return X509_supported_extension(const_cast<X509_EXTENSION*>(extension)) == 1;
}

/// No critical extension that OpenSSL's own path validation would not understand.
bool has_strange_critical(const X509* certificate) {
  for (int i = 0; i < X509_get_ext_count(certificate); ++i) {
    const X509_EXTENSION* extension = X509_get_ext(certificate, i);
    if (X509_EXTENSION_get_critical(extension) && !is_known(extension)) return true;
  }
  return false;
}

} // namespace

Certificate::Certificate(std::shared_ptr<x509_st> certificate)
    : certificate_(std::move(certificate)) {}

std::optional<Certificate> Certificate::from_der(Bytes der) {
  if (der.empty() || der.size() > kMaxBytes) return std::nullopt;
  const u8* at = der.data();
  std::shared_ptr<x509_st> read(d2i_X509(nullptr, &at, static_cast<long>(der.size())), X509_free);
  ERR_clear_error();
  if (!read || at != der.data() + der.size()) return std::nullopt;
  Certificate certificate(std::move(read));
  // Names, dates and key are asked for all the time: one that has none of them is none.
  std::tm ignored{};
  const bool is_whole = certificate.key() &&
                        ASN1_TIME_to_tm(X509_get0_notBefore(certificate.get()), &ignored) == 1 &&
                        ASN1_TIME_to_tm(X509_get0_notAfter(certificate.get()), &ignored) == 1;
  ERR_clear_error();
  return is_whole ? std::optional(certificate) : std::nullopt;
}

std::optional<std::vector<Certificate>> Certificate::bundle(Bytes bytes) {
  if (bytes.size() > kMaxBytes) return std::nullopt;
  std::vector<std::vector<u8>> blocks;
  if (as_text(bytes).find("-----BEGIN") != std::string_view::npos) {
    auto read = pem_blocks(as_text(bytes), "CERTIFICATE");
    if (!read) return std::nullopt;
    blocks = std::move(*read);
  } else {
    blocks.push_back(to_vector(bytes));
  }
  std::vector<Certificate> certificates;
  for (const auto& block : blocks) {
    const auto certificate = from_der(block);
    if (!certificate) return std::nullopt;
    certificates.push_back(*certificate);
  }
  return certificates.empty() ? std::nullopt : std::optional(std::move(certificates));
}

std::vector<u8> Certificate::der() const {
  u8* encoded = nullptr;
  const int size = i2d_X509(get(), &encoded);
  if (size <= 0) return {};
  std::vector<u8> bytes(encoded, encoded + size);
  OPENSSL_free(encoded);
  return bytes;
}

Sha256Digest Certificate::fingerprint() const {
  return sha256(der());
}

Sha256Digest Certificate::spki_digest() const {
  u8* encoded = nullptr;
  const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(get()), &encoded);
  if (size <= 0) return {};
  const Sha256Digest value = sha256({encoded, static_cast<std::size_t>(size)});
  OPENSSL_free(encoded);
  return value;
}

std::string Certificate::common_name() const {
  return name_entry(X509_get_subject_name(get()), NID_commonName);
}

std::string Certificate::organization() const {
  return name_entry(X509_get_subject_name(get()), NID_organizationName);
}

std::string Certificate::issuer_name() const {
  return name_entry(X509_get_issuer_name(get()), NID_commonName);
}

TimePoint Certificate::starts() const {
  return time_of(X509_get0_notBefore(get()));
}

TimePoint Certificate::ends() const {
  return time_of(X509_get0_notAfter(get()));
}

std::optional<PublicKey> Certificate::key() const {
  std::shared_ptr<evp_pkey_st> key(X509_get_pubkey(get()), EVP_PKEY_free);
  ERR_clear_error();
  return key ? std::optional(PublicKey(std::move(key))) : std::nullopt;
}

bool Certificate::is_issued_by(const Certificate& issuer, SignatureRule rule) const {
  if (X509_NAME_cmp(X509_get_issuer_name(get()), X509_get_subject_name(issuer.get())) != 0)
    return false;
  const X509_ALGOR* algorithm = nullptr;
  X509_get0_signature(nullptr, &algorithm, get());
  const auto key = issuer.key();
  if (!key || !algorithm || !follows(rule, algorithm, *key)) return false;
  const bool holds = X509_verify(get(), key->get()) == 1;
  ERR_clear_error();
  return holds;
}

bool Certificate::may_be_authority() const {
  if (has_strange_critical(get()) || repeats_an_extension()) return false;
  const u32 flags = X509_get_extension_flags(get());
  if (flags & EXFLAG_INVALID) return false;
  if (flags & EXFLAG_BCONS && !(flags & EXFLAG_CA)) return false;
  return !(flags & EXFLAG_KUSAGE) || X509_get_key_usage(get()) & KU_KEY_CERT_SIGN;
}

bool Certificate::may_be_leaf() const {
  const u32 flags = X509_get_extension_flags(get());
  return !has_strange_critical(get()) && !(flags & EXFLAG_INVALID) &&
         !(flags & EXFLAG_BCONS && flags & EXFLAG_CA);
}

std::optional<std::vector<u8>> Certificate::extension(const std::string& object) const {
  const std::unique_ptr<ASN1_OBJECT, decltype(&ASN1_OBJECT_free)> wanted(
      OBJ_txt2obj(object.c_str(), 1), ASN1_OBJECT_free);
  const int at = X509_get_ext_by_OBJ(get(), wanted.get(), -1);
  if (at < 0) return std::nullopt;
  const ASN1_OCTET_STRING* content = X509_EXTENSION_get_data(X509_get_ext(get(), at));
  const u8* data = ASN1_STRING_get0_data(content);
  return std::vector<u8>(data, data + ASN1_STRING_length(content));
}

bool Certificate::repeats_an_extension() const {
  for (int i = 0; i < X509_get_ext_count(get()); ++i)
    if (X509_get_ext_by_OBJ(get(), X509_EXTENSION_get_object(X509_get_ext(get(), i)), i) >= 0)
      return true;
  return false;
}

RevocationList::RevocationList(std::shared_ptr<X509_crl_st> list) : list_(std::move(list)) {}

std::optional<RevocationList> RevocationList::from(Bytes bytes) {
  if (bytes.empty() || bytes.size() > 16 * kMaxBytes) return std::nullopt;
  std::vector<u8> der = to_vector(bytes);
  if (as_text(bytes).find("-----BEGIN") != std::string_view::npos) {
    auto blocks = pem_blocks(as_text(bytes), "X509 CRL");
    if (!blocks || blocks->size() != 1) return std::nullopt;
    der = std::move(blocks->front());
  } else if (auto decoded = from_hex(trimmed(as_text(bytes)))) {
    der = std::move(*decoded);
  }
  const u8* at = der.data();
  std::shared_ptr<X509_crl_st> list(d2i_X509_CRL(nullptr, &at, static_cast<long>(der.size())),
                                    X509_CRL_free);
  ERR_clear_error();
  if (!list || at != der.data() + der.size()) return std::nullopt;
  std::tm ignored{};
  const ASN1_TIME* next = X509_CRL_get0_nextUpdate(list.get());
  const bool is_whole = X509_CRL_get0_lastUpdate(list.get()) &&
                        ASN1_TIME_to_tm(X509_CRL_get0_lastUpdate(list.get()), &ignored) == 1 &&
                        (!next || ASN1_TIME_to_tm(next, &ignored) == 1);
  ERR_clear_error();
  return is_whole ? std::optional(RevocationList(std::move(list))) : std::nullopt;
}

bool RevocationList::is_signed_by(const Certificate& issuer, SignatureRule rule) const {
  if (X509_NAME_cmp(X509_CRL_get_issuer(list_.get()), X509_get_subject_name(issuer.get())) != 0)
    return false;
  const X509_ALGOR* algorithm = nullptr;
  X509_CRL_get0_signature(list_.get(), nullptr, &algorithm);
  const auto key = issuer.key();
  if (!key || !algorithm || !follows(rule, algorithm, *key)) return false;
  const bool holds = X509_CRL_verify(list_.get(), key->get()) == 1;
  ERR_clear_error();
  return holds;
}

std::string RevocationList::issuer_name() const {
  return name_entry(X509_CRL_get_issuer(list_.get()), NID_commonName);
}

TimePoint RevocationList::this_update() const {
  return time_of(X509_CRL_get0_lastUpdate(list_.get()));
}

std::optional<TimePoint> RevocationList::next_update() const {
  const ASN1_TIME* next = X509_CRL_get0_nextUpdate(list_.get());
  return next ? std::optional(time_of(next)) : std::nullopt;
}

bool RevocationList::names(const Certificate& certificate) const {
  X509_REVOKED* entry = nullptr;
  // Any entry counts, "removed from the list" too: this is a full list, where that has no meaning.
  return X509_CRL_get0_by_serial(
             list_.get(), &entry,
             const_cast<ASN1_INTEGER*>(X509_get0_serialNumber(certificate.get()))) != 0;
}

bool RevocationList::is_partial() const {
  for (int i = 0; i < X509_CRL_get_ext_count(list_.get()); ++i) {
    const X509_EXTENSION* extension = X509_CRL_get_ext(list_.get(), i);
    const int nid = OBJ_obj2nid(X509_EXTENSION_get_object(const_cast<X509_EXTENSION*>(extension)));
    if (X509_EXTENSION_get_critical(extension) || nid == NID_delta_crl ||
        nid == NID_issuing_distribution_point || nid == NID_freshest_crl)
      return true;
  }
  const STACK_OF(X509_REVOKED)* entries = X509_CRL_get_REVOKED(list_.get());
  for (int i = 0; i < sk_X509_REVOKED_num(entries); ++i) {
    const X509_REVOKED* entry = sk_X509_REVOKED_value(entries, i);
    for (int j = 0; j < X509_REVOKED_get_ext_count(entry); ++j)
      if (X509_EXTENSION_get_critical(X509_REVOKED_get_ext(entry, j))) return true;
  }
  return false;
}

std::string RevocationList::number() const {
  int critical = 0;
  const std::unique_ptr<ASN1_INTEGER, decltype(&ASN1_INTEGER_free)> number(
      static_cast<ASN1_INTEGER*>(
          X509_CRL_get_ext_d2i(list_.get(), NID_crl_number, &critical, nullptr)),
      ASN1_INTEGER_free);
  if (!number) return {};
  return to_hex({ASN1_STRING_get0_data(number.get()),
                 static_cast<std::size_t>(ASN1_STRING_length(number.get()))});
}

std::vector<u8> RevocationList::der() const {
  u8* encoded = nullptr;
  const int size = i2d_X509_CRL(list_.get(), &encoded);
  if (size <= 0) return {};
  std::vector<u8> bytes(encoded, encoded + size);
  OPENSSL_free(encoded);
  return bytes;
}

} // namespace talaria::attest
