#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "attest/evidence/bytes.hpp"
#include "attest/evidence/public_key.hpp"
#include "core/digest.hpp"

struct x509_st;     // OpenSSL's X509
struct X509_crl_st; // OpenSSL's X509_CRL

namespace talaria::attest {

/// How a vendor signs its certificates and lists; nothing else passes for a signature of its.
enum class SignatureRule {
  rsa_pss_sha384,    ///< AMD: RSA of 4,096 bits, MGF1 with SHA-384, 48 bytes of salt
  ecdsa_p256_sha256, ///< Intel
};

inline constexpr SignatureRule kAmdRule = SignatureRule::rsa_pss_sha384;
inline constexpr SignatureRule kIntelRule = SignatureRule::ecdsa_p256_sha256;

/// An X.509 certificate as bytes that somebody sent: it says nothing before it has been checked.
class Certificate {
public:
  /// @return nothing unless `der` is one certificate to the last byte.
  static std::optional<Certificate> from_der(Bytes der);
  /// A PEM bundle of 1 to 8 CERTIFICATE blocks with white space around them and nothing else, or
  /// one DER certificate. @return nothing for anything else.
  static std::optional<std::vector<Certificate>> bundle(Bytes bytes);

  std::vector<u8> der() const;
  /// SHA-256 of the DER.
  Sha256Digest fingerprint() const;
  /// SHA-256 of the SubjectPublicKeyInfo: what is pinned.
  Sha256Digest spki_digest() const;
  /// Empty unless there is exactly one.
  std::string common_name() const;
  std::string organization() const;
  std::string issuer_name() const; ///< of its issuer, the common name
  TimePoint starts() const;
  TimePoint ends() const;
  std::optional<PublicKey> key() const;

  /// Whether `issuer`'s subject is this one's issuer and its key signed this, by `rule`.
  bool is_issued_by(const Certificate& issuer, SignatureRule rule) const;
  /// Whether its basic constraints and key usage, where it has any, allow it to sign certificates
  /// (or forbid it), and it has no critical extension that this program does not know.
  bool may_be_authority() const;
  bool may_be_leaf() const;

  /// The content of the extension `object` ("1.3.6..."). Nothing if there is none.
  std::optional<std::vector<u8>> extension(const std::string& object) const;
  bool repeats_an_extension() const;

  x509_st* get() const { return certificate_.get(); }

private:
  explicit Certificate(std::shared_ptr<x509_st> certificate);

  std::shared_ptr<x509_st> certificate_;
};

/// A certificate revocation list (RFC 5280, section 5).
class RevocationList {
public:
  /// DER, PEM, or DER as hexadecimal text (as one of Intel's services sends it).
  static std::optional<RevocationList> from(Bytes bytes);

  bool is_signed_by(const Certificate& issuer, SignatureRule rule) const;
  std::string issuer_name() const;
  TimePoint this_update() const;
  std::optional<TimePoint> next_update() const;
  bool names(const Certificate& certificate) const;
  /// Whether it is a delta, is limited in scope, or has a critical extension: then the absence of
  /// a serial number would not mean that it is in force.
  bool is_partial() const;
  std::string number() const; ///< hexadecimal; empty without one
  std::vector<u8> der() const;

private:
  explicit RevocationList(std::shared_ptr<X509_crl_st> list);

  std::shared_ptr<X509_crl_st> list_;
};

} // namespace talaria::attest
