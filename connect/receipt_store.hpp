#pragma once

#include <filesystem>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include "attest/receipts/receipt_record.hpp"

namespace talaria::connect {

struct ReceiptOptions {
  std::filesystem::path folder; ///< of the files; made if it is not there
  bool with_bodies = false;     ///< requests and answers too, for `talaria receipt replay`
};

/// A folder of receipts, readable by its owner alone. Each file is replaced as a whole, so that
/// none is ever there in part:
///
///   CHAIN-NUMBER.json      a receipt that holds (attest::ReceiptRecord), in the order of the chain
///   refused-ID.json        one that does not: the server's key, and not what was asked or answered
///   evidence-KEYID.json    evidence for archives, in which the statement names the key
///
/// Thread-safe.
class ReceiptStore {
public:
  using Log = std::function<void(const std::string& line)>;
  /// @throws Error{io} if the folder cannot be made or is open to others.
  ReceiptStore(ReceiptOptions options, Log log);

  const ReceiptOptions& options() const noexcept { return options_; }
  void keep(const attest::SignedReceipt& receipt, const attest::ReceiptRecord& record);
  /// One that `why` speaks against.
  void refuse(const attest::ReceiptRecord& record, const std::string& why);
  /// Whether evidence for the key is still to be had. True once for each key.
  bool wants_evidence(const std::string& key_id);
  void keep_evidence(const std::string& key_id, const std::string& document);
  /// One line for the user: an answer without a receipt, a file that cannot be written.
  void tell(const std::string& line) const { log_(line); }

private:
  void write(const std::string& name, const std::string& content);

  const ReceiptOptions options_;
  const Log log_;
  std::mutex mutex_;
  std::set<std::string> keys_; ///< for which evidence was asked
  u64 refused_ = 0;
};

} // namespace talaria::connect
