#include <algorithm>

#include "attest/policy/parts.hpp"
#include "attest/policy/statement_appraisal.hpp"
#include "core/equal_bytes.hpp"

namespace talaria::attest {
namespace {

/// What the platform signed for this moment: REPORT_DATA, or on Azure extraData of the vTPM.
std::vector<u8> bound_bytes(const Verdict& verdict) {
  if (verdict.azure) return verdict.azure->tpm ? verdict.azure->tpm->extra_data : std::vector<u8>();
  if (verdict.snp) return to_vector(verdict.snp->report.report_data);
  if (verdict.tdx) return to_vector(verdict.tdx->quote.report_data);
  return {};
}

bool is_bound_to(Bytes bound, const BindingInput& input, const std::vector<PathStep>& path) {
  return bound.size() == 64 ? equal_in_constant_time(bound, report_data(input, path))
                            : equal_in_constant_time(bound, qualifying_data(input, path));
}

/// Evidence that is none for us but would be for somebody else deserves its own sentence.
void name_other_role(Bytes bound, BindingInput input, const std::vector<PathStep>& path,
                     Checks& checks) {
  if (input.role == Role::archive) return;
  const bool is_for_worker = input.role == Role::client;
  input.role = is_for_worker ? Role::server : Role::client;
  if (is_bound_to(bound, input, path))
    return checks.fail(Stage::binding, "role",
                       is_for_worker ? "this is evidence towards a client, shown to a worker"
                                     : "this is evidence towards a worker, shown back to a client");
  input.role = Role::archive;
  input.nonce = {};
  input.channel = {};
  if (is_bound_to(bound, input, path))
    checks.fail(Stage::binding, "role", "this is evidence for archives, which is of no connection");
}

/// More than that the hash is another one: what the words that came along let suspect. They are
/// anybody's, and decide nothing.
void name_other_key(Bytes bound, const SessionExpectation& session, const BindingInput& own,
                    Checks& checks) {
  if (is_bound_to(bound, own, session.path)) return;
  const auto statement = parse_statement(as_text(session.statement));
  if (statement && statement->tls_key != own.key)
    checks.fail(Stage::binding, "report-data",
                own.role == Role::client
                    ? "the evidence is about an enclave with another TLS key: somebody stands "
                      "between, or sends on what is not his"
                    : "the evidence is about a server with another TLS key: somebody stands "
                      "between, or sends on what is not his",
                to_hex(own.key), to_hex(statement->tls_key));
  else
    checks.fail(Stage::binding, "report-data",
                "the evidence is bound to another connection or nonce: it was made for somebody "
                "else, or earlier, or TLS ends in front of the server");
}

void appraise_words(const SessionExpectation& session, const Policy& policy, Verdict& verdict) {
  if (verdict.checks.refusal())
    return verdict.checks.skip(Stage::policy, "statement",
                               "looked at only after everything else has passed");
  const auto statement = parse_statement(as_text(session.statement));
  if (!statement) return verdict.checks.fail(statement.refusal());
  verdict.checks.pass(Stage::policy, "statement");
  appraise_statement(*statement, policy.statement, session.own.key, verdict.checks);
  verdict.statement = *statement;
}

} // namespace

void appraise_session(const SessionExpectation& session, const Policy& policy, Verdict& verdict) {
  BindingInput own = session.own;
  own.statement = sha256(session.statement);
  const std::vector<u8> bound = bound_bytes(verdict);
  name_other_role(bound, own, session.path, verdict.checks);
  name_other_key(bound, session, own, verdict.checks);
  check_binding(bound, own, session.path, verdict.checks);
  verdict.binding = own;
  appraise_words(session, policy, verdict);
}

Verdict judge_session(const EvidenceDocument& document, const BindingInput& own,
                      const Policy& policy, const TrustAnchors& anchors, JudgeOptions options) {
  options.expectation = {};
  options.expectation.session = SessionExpectation{own, document.statement, document.path};
  return judge(document.evidence, policy, anchors, options);
}

} // namespace talaria::attest
