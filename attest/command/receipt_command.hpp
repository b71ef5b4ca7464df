#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "attest/receipts/receipt_record.hpp"

namespace talaria::attest {

/// `talaria receipt verify`. What is empty was not given.
struct ReceiptVerifyOptions {
  std::vector<std::filesystem::path> files; ///< records or bare receipts; several are also looked
                                            ///< at as chains
  std::filesystem::path evidence;           ///< for archives; its statement names the key
  std::filesystem::path policy;             ///< with `evidence`
  std::filesystem::path bundle;
  std::string key;                ///< 43 characters of base64url; in the place of evidence
  std::filesystem::path request;  ///< the bodies, of one receipt
  std::filesystem::path response; ///< of a stream: its events, comments left out or not
  std::string at;                 ///< judge the evidence at this time; empty: now
  bool allow_simulated = false;
  bool json = false;
};

/// Checks receipts and prints what they say to standard output.
/// @return 0 they hold; 6 undecided; 7 no receipt, or not signed by the key; 8 what vouches for the
/// key is not allowed by the policy; 9 not about this request, answer or chain; 10 they hold, and
/// the platform is simulated.
/// @throws Error{usage, config, io} (exit status 2) for flags and files that cannot be used.
int verify_receipts(const ReceiptVerifyOptions& options);

/// One of the two forms of a file. Refuses with stage format.
/// @throws Error{io, usage} for a file that cannot be read or is too large.
struct ReceiptFile {
  SignedReceipt receipt;
  ReceiptRecord record;
  bool has_salts = false;
};
Parsed<ReceiptFile> read_receipt_file(const std::filesystem::path& file);

/// @throws Error{usage} unless `text` is a key in base64url.
ReceiptPublicKey receipt_key_from(const std::string& text);

} // namespace talaria::attest
