#pragma once

#include <memory>
#include <optional>

#include "attest/evidence/bytes.hpp"

struct evp_pkey_st; // OpenSSL's EVP_PKEY

namespace talaria::attest {

enum class HashKind { sha256, sha384, sha512 };

/// 32, 48 or 64 bytes.
std::vector<u8> digest(HashKind kind, Bytes data);

/// A key that verifies. Every primitive is OpenSSL's.
class PublicKey {
public:
  enum class Kind { rsa, p256, p384, other };

  explicit PublicKey(std::shared_ptr<evp_pkey_st> key);
  /// x, y, 32 bytes each, big-endian. @return nothing unless that is a point of P-256.
  static std::optional<PublicKey> from_p256_point(Bytes point);
  /// Big-endian numbers. @return nothing unless `n` has 2,048 to 8,192 bits and `e` is 65537.
  static std::optional<PublicKey> from_rsa(Bytes n, Bytes e);

  Kind kind() const;
  int bits() const;

  /// ECDSA, FIPS 186-4: P-256 with SHA-256, P-384 with SHA-384. `r`, `s`: big-endian.
  /// False for a key of another kind, and for r or s outside 1 to n-1.
  bool verifies_ecdsa(Bytes r, Bytes s, Bytes message) const;
  /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017).
  bool verifies_rsa_pkcs1(Bytes signature, Bytes message) const;

  evp_pkey_st* get() const { return key_.get(); }

private:
  std::shared_ptr<evp_pkey_st> key_;
};

} // namespace talaria::attest
