#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "attest/evidence/evidence_set.hpp"

namespace talaria::attest {

inline constexpr std::size_t kMaxDocumentBytes = std::size_t{128} << 10;
inline constexpr std::size_t kMaxStatementBytes = std::size_t{8} << 10;
inline constexpr std::size_t kMaxPathSteps = 16;

/// One step from a leaf to the root of a batch (binding.hpp).
struct PathStep {
  bool sibling_is_left = false;
  std::array<u8, 32> sibling{};
};

/// What an enclave answers when it is asked for evidence: JSON of at most 128 KiB,
///
///   {"v": 1, "platform": "snp", "evidence": "...", "statement": "...", "path": ["L...", "R..."],
///    "collateral": {"leaf": "...", ...}}
///
/// with bytes as base64url without padding. `evidence` is the report or quote; on Azure an object
/// with hcl, tpm_quote, tpm_signature, pcrs and, for TDX, quote. Names of collateral are those of
/// EvidenceSet.
struct EvidenceDocument {
  EvidenceSet evidence;
  std::vector<u8> statement; ///< exactly the bytes that are hashed; may be empty
  std::vector<PathStep> path;
};

/// Refuses with stage format, `document`: not such a document, unknown fields included.
Parsed<EvidenceDocument> parse_document(std::string_view json);

std::string to_json(const EvidenceDocument& document);

} // namespace talaria::attest
