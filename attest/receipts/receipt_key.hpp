#pragma once

#include <array>
#include <memory>
#include <string>

#include "attest/evidence/bytes.hpp"

struct evp_pkey_st; // OpenSSL's EVP_PKEY

namespace talaria::attest {

/// A public key of Ed25519 (RFC 8032) as it stands in a statement.
using ReceiptPublicKey = std::array<u8, 32>;

/// {"crv":"Ed25519","kty":"OKP","x":"..."}: members in the order that its thumbprint is taken of.
std::string to_jwk(const ReceiptPublicKey& key);
/// Of the key as a JWK (RFC 7638): SHA-256 as 43 characters of base64url.
std::string thumbprint_of(const ReceiptPublicKey& key);
/// Whether `signature` is one of `message` by `key`. False for a signature of another length.
bool is_signed_by(const ReceiptPublicKey& key, Bytes message, Bytes signature);

/// The private key that receipts are signed with. Made in the enclave at its start, and never
/// anywhere else than in its memory: a copy of it on a disk would outlive the program that the
/// statement vouches for.
class ReceiptKey {
public:
  /// @throws Error{internal} if the system yields none.
  static ReceiptKey create();

  const ReceiptPublicKey& public_key() const noexcept { return public_; }
  std::array<u8, 64> sign(Bytes message) const;

private:
  explicit ReceiptKey(std::shared_ptr<evp_pkey_st> key);

  std::shared_ptr<evp_pkey_st> key_;
  ReceiptPublicKey public_{};
};

} // namespace talaria::attest
