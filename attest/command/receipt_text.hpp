#pragma once

#include <optional>
#include <string>
#include <vector>

#include "attest/command/receipt_command.hpp"
#include "attest/policy/verdict.hpp"

namespace talaria::attest {

/// What was found about receipts.
struct ReceiptFindings {
  std::vector<SignedReceipt> receipts;
  Checks checks;                   ///< those of the evidence among them
  std::optional<Verdict> evidence; ///< on what vouches for the key
  bool simulated = false;
  int status = 7;
};

std::string to_text(const ReceiptFindings& findings);
/// One JSON object without a line end.
std::string to_json(const ReceiptFindings& findings);

} // namespace talaria::attest
