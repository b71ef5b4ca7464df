#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "attest/policy/verdict.hpp"
#include "connect/receipt_store.hpp"
#include "connect/response_parser.hpp"

namespace talaria::connect {

/// Listens to one answer and checks the receipt that comes with it: the signature by the key that
/// the verdict on this very connection vouches for, the hashes by what was sent and what came. One
/// thread.
class ReceiptWatch {
public:
  /// @param request      the body as it is sent
  /// @param credentials  the fields of its head that say whose receipt it will be
  ReceiptWatch(ReceiptStore& store, const attest::Statement& statement, std::string_view request,
               gateway::HttpFields credentials = {});

  void take_head(const ResponseHead& head);
  /// The next part of the body.
  void take(std::string_view part);
  /// Where a receipt that was too long for the head of the answer can be had: what to ask the
  /// server for, with the credentials. Empty: there is no such receipt.
  std::string_view elsewhere() const noexcept;
  const gateway::HttpFields& credentials() const noexcept { return credentials_; }
  /// What came from there.
  void take_record(const std::string& text);
  /// The body is complete: keeps the receipt, or says why not.
  /// @return the thumbprint of a key for which there is no evidence in the folder yet; else empty
  std::string finish();
  /// The answer was not taken to its end.
  void cut();

private:
  void take_events(std::string_view part);
  void take_comment();
  void take_receipt(std::string_view jws, std::string_view salts);
  std::string check(const attest::SignedReceipt& receipt) const;

  ReceiptStore& store_;
  const attest::ReceiptPublicKey key_;
  const Sha256Digest request_;
  Sha256 response_;
  Sha256Digest response_digest_{};
  attest::ReceiptRecord record_;
  bool is_wanted_ = false; ///< the answer is such as comes with a receipt
  bool is_stream_ = false;
  gateway::HttpFields credentials_;
  std::string elsewhere_; ///< of a receipt that is too long for a head
  // Of a stream: where in it we are.
  bool at_begin_ = true;
  bool in_comment_ = false;
  bool after_line_ = false; ///< the last byte ended a line
  std::string comment_;
};

} // namespace talaria::connect
