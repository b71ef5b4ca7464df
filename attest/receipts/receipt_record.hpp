#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "attest/receipts/jws.hpp"

namespace talaria::attest {

inline constexpr std::size_t kMaxRecordBytes = std::size_t{256} << 20;

/// A receipt with what only its client has, as /v1/receipts/ID gives it and as it lies in a file:
///
///   {"v": 1, "receipt": "JWS", "salts": {"request": "...", "response": "..."},
///    "key": {"kty": "OKP", "crv": "Ed25519", "x": "..."}, "request": "...", "response": "..."}
///
/// Bytes are base64url. The last three need not be there.
struct ReceiptRecord {
  std::string jws;
  ReceiptSalts salts;
  std::optional<ReceiptPublicKey> key; ///< that a verified connection vouched for
  std::optional<std::string> request;  ///< the bodies
  std::optional<std::string> response;
};

std::string to_json(const ReceiptRecord& record);

/// Refuses with stage format, `receipt-file`.
Parsed<ReceiptRecord> parse_record(std::string_view json);

/// The salts as they stand beside a receipt in a header or a comment: REQUEST.RESPONSE.
std::string to_text(const ReceiptSalts& salts);
/// Nothing for anything else.
std::optional<ReceiptSalts> parse_salts(std::string_view text);

} // namespace talaria::attest
