#pragma once

#include <string>
#include <vector>

#include "attest/policy/verdict.hpp"

// The two halves of appraise(), one per vendor, and what judge() does for a live connection.

namespace talaria::attest {

inline constexpr Stage kPolicy = Stage::policy;

void appraise_snp(const SnpFacts& facts, const Policy& policy, Checks& checks,
                  std::vector<std::string>& warnings);
void appraise_tdx(const TdxFacts& facts, const Policy& policy, TimePoint now, Checks& checks,
                  std::vector<std::string>& warnings);

/// Checks that the evidence is bound to `session`, and then looks at the statement.
void appraise_session(const SessionExpectation& session, const Policy& policy, Verdict& verdict);

/// "smt alias_check bit9": the bits of PLATFORM_INFO by name.
std::string platform_names(u64 bits);

} // namespace talaria::attest
