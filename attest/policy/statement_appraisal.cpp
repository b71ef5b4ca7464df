#include "attest/policy/statement_appraisal.hpp"

#include <algorithm>

namespace talaria::attest {
namespace {

void check_listed(const std::vector<std::string>& allowed, const std::string& actual,
                  const char* code, const char* what, Checks& checks) {
  std::string expected;
  for (const std::string& each : allowed) expected += (expected.empty() ? "" : " ") + each;
  checks.require(allowed.empty() || std::ranges::find(allowed, actual) != allowed.end(),
                 Stage::policy, code, std::string("the policy does not accept this ") + what,
                 expected, actual);
}

} // namespace

void appraise_statement(const Statement& statement, const StatementPolicy& policy,
                        const Sha256Digest& tls_key, Checks& checks) {
  check_listed(policy.models, to_hex(statement.model_root), "statement-model", "model", checks);
  check_listed(policy.schemes, statement.scheme, "statement-scheme", "masking scheme", checks);
  check_listed(policy.parameters, statement.parameters, "statement-parameters", "set of parameters",
               checks);
  check_listed(policy.integrity.empty() ? std::vector<std::string>{}
                                        : std::vector<std::string>{policy.integrity},
               statement.integrity, "statement-integrity", "integrity check", checks);
  checks.require(statement.tls_key == tls_key, Stage::binding, "statement-key",
                 "the statement is about another TLS key", to_hex(tls_key),
                 to_hex(statement.tls_key));
}

} // namespace talaria::attest
