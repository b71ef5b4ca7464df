#pragma once

#include "attest/binding/statement.hpp"
#include "attest/policy/policy.hpp"

namespace talaria::attest {

/// Adds to `checks` what the policy says about a statement whose hash the evidence is bound to, and
/// whose measurement has passed: before that it is anybody's. Codes in stage policy:
/// `statement-model`, `statement-scheme`, `statement-parameters`, `statement-integrity`; in stage
/// binding `statement-key` if it is about another TLS key than `tls_key`, the peer's.
/// An empty list of the policy accepts anything.
void appraise_statement(const Statement& statement, const StatementPolicy& policy,
                        const Sha256Digest& tls_key, Checks& checks);

} // namespace talaria::attest
