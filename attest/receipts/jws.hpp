#pragma once

#include <array>
#include <string>
#include <string_view>

#include "attest/receipts/receipt.hpp"
#include "attest/receipts/receipt_key.hpp"

namespace talaria::attest {

/// A receipt as it travels: JWS in its compact form (RFC 7515), alg EdDSA, typ talaria-receipt+jwt.
struct SignedReceipt {
  Receipt receipt;
  std::string key_id;  ///< thumbprint_of() the key that it says it was signed by
  std::string jws;     ///< as it came; its SHA-256 is `previous` of the next one
  std::size_t end = 0; ///< of what is signed, within `jws`
  std::array<u8, 64> signature{};

  Sha256Digest digest() const { return sha256(as_bytes(jws)); }
  bool is_signed_by(const ReceiptPublicKey& key) const {
    return attest::is_signed_by(key, as_bytes(jws).first(end), signature);
  }
};

/// Signs. The claims are filled up with blanks to a multiple of 256 bytes: the length of a receipt
/// travels in sight of whoever counts bytes, and would tell how many digits there are in it.
std::string sign_receipt(const Receipt& receipt, const ReceiptKey& key);

/// Reads a receipt; whether the signature holds is another question. Every character of it counts:
/// no other spelling of the same bytes is taken. Stage format, `receipt`.
Parsed<SignedReceipt> parse_signed_receipt(std::string_view jws);

} // namespace talaria::attest
