#include "attest/policy/verdict.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>

#include <fmt/format.h>

#include "attest/policy/parts.hpp"
#include "core/equal_bytes.hpp"
#include "core/error.hpp"

namespace talaria::attest {
namespace {

constexpr int kAccepted = 0;
constexpr int kAcceptedSimulation = 10;

void check_report_data(Bytes actual, const Expectation& expectation, Verdict& verdict) {
  if (!expectation.report_data)
    return verdict.checks.skip(Stage::binding, "report-data",
                               "evidence from a file belongs to no connection");
  const Bytes wanted(*expectation.report_data);
  verdict.checks.require(equal_in_constant_time(actual, wanted), Stage::binding, "report-data",
                         "the evidence is bound to something else", to_hex(wanted), to_hex(actual));
}

/// Azure's reports are of boot time: what is fresh is the vTPM's quote.
void check_azure_binding(const Expectation& expectation, Verdict& verdict) {
  if (!expectation.nonce)
    return verdict.checks.skip(Stage::binding, "tpm-nonce",
                               "evidence from a file belongs to no connection");
  if (!verdict.azure || !verdict.azure->tpm)
    return verdict.checks.fail(Stage::binding, "tpm-nonce", "there is no TPM quote to be fresh");
  check_tpm_nonce(*verdict.azure->tpm, *expectation.nonce, verdict.checks);
}

void check_expected_binding(const Expectation& expectation, Verdict& verdict) {
  if (verdict.azure) return check_azure_binding(expectation, verdict);
  if (verdict.snp)
    check_report_data(verdict.snp->report.report_data, expectation, verdict);
  else if (verdict.tdx)
    check_report_data(verdict.tdx->quote.report_data, expectation, verdict);
}

/// Acceptance rests on what has been seen to hold, not on the absence of complaints: should a
/// verifier ever return early without one, this refuses.
void require_proof(bool of_session, Checks& checks) {
  if (checks.refusal()) return;
  const bool is_genuine =
      checks.passed(Stage::root, "root-not-pinned") && checks.passed(Stage::chain, "chain") &&
      checks.passed(Stage::dates, "certificate-dates") &&
      checks.passed(Stage::signature, "signature") && checks.passed(Stage::expected, "image");
  const bool is_bound = checks.passed(Stage::binding, "binding-input") &&
                        checks.passed(Stage::binding, "report-data") &&
                        checks.passed(Stage::binding, "statement-key");
  const bool is_proven = is_genuine && (is_bound || !of_session);
  if (!is_proven) checks.fail(Stage::signature, "signature", "not every check has been reached");
}

void warn_about_policy(const Policy& policy, Verdict& verdict) {
  if (verdict.simulated || policy.simulated) verdict.warnings.emplace_back(kSimulationWarning);
  if (policy.any_image)
    verdict.warnings.emplace_back("images: any accepts whatever runs there; no verdict is better "
                                  "than 8");
  if (policy.binding.kind == BindingPolicy::Kind::key)
    verdict.warnings.emplace_back("binding: key vouches for a key and for no session: whoever gets "
                                  "that key can relay");
  if (policy.service.any_name)
    verdict.warnings.emplace_back("names: any accepts a genuine enclave of anybody");
}

Verdict begin_verdict(const Policy& policy, const JudgeOptions& options) {
  Verdict verdict;
  verdict.at = options.now;
  verdict.clock = options.clock;
  verdict.policy_name = policy.name;
  verdict.policy_sha256 = policy.sha256;
  return verdict;
}

void close_verdict(Verdict& verdict) {
  verdict.refusal = verdict.checks.refusal();
  verdict.accepted = !verdict.refusal;
  verdict.status = verdict.refusal     ? static_cast<int>(verdict.refusal->grade())
                   : verdict.simulated ? kAcceptedSimulation
                                       : kAccepted;
}

} // namespace

const Ledger* Verdict::collateral() const {
  if (snp) return &snp->collateral;
  return tdx ? &tdx->collateral : nullptr;
}

std::string Verdict::platform() const {
  return tdx && tdx->pck ? to_hex(tdx->pck->fmspc) : std::string();
}

void Verdict::refuse(const Refusal& why) {
  checks.fail(why);
  close_verdict(*this);
}

Verdict judge(const EvidenceSet& evidence, const Policy& policy, const TrustAnchors& anchors,
              const JudgeOptions& options) {
  Judgement judgement = verify_evidence(evidence, anchors, {options.now, policy.collateral.skew});
  Verdict verdict = begin_verdict(policy, options);
  verdict.kind = evidence.kind;
  verdict.checks = std::move(judgement.checks);
  verdict.snp = std::move(judgement.snp);
  verdict.tdx = std::move(judgement.tdx);
  verdict.azure = std::move(judgement.azure);
  const Facts facts{evidence.kind, verdict.snp ? &*verdict.snp : nullptr,
                    verdict.tdx ? &*verdict.tdx : nullptr,
                    verdict.azure ? &*verdict.azure : nullptr};
  verdict.simulated = facts.simulated();
  warn_about_policy(policy, verdict);
  appraise(facts, policy, options.now, verdict.checks, verdict.image, verdict.warnings);
  if (verdict.simulated)
    verdict.checks.require(options.allow_simulated, Stage::policy, "simulated",
                           "simulated evidence, which --allow-simulated did not ask for");
  if (options.expectation.session)
    appraise_session(*options.expectation.session, policy, verdict);
  else
    check_expected_binding(options.expectation, verdict);
  if (const Ledger* ledger = verdict.collateral(); ledger && !ledger->items().empty())
    verdict.valid_until = ledger->valid_until();
  require_proof(options.expectation.session.has_value(), verdict.checks);
  close_verdict(verdict);
  return verdict;
}

Verdict refuse_unread(const Refusal& refusal, const Policy& policy, const JudgeOptions& options) {
  Verdict verdict = begin_verdict(policy, options);
  verdict.checks.fail(refusal);
  close_verdict(verdict);
  return verdict;
}

TrustAnchors trust_anchors(const Policy& policy) {
  if (!policy.simulated) return TrustAnchors::hardware();
  std::ifstream stream(policy.simulated_root, std::ios::binary);
  std::string text;
  if (stream) text.assign(std::istreambuf_iterator<char>(stream), {});
  const auto roots = Certificate::bundle(as_bytes(text));
  if (!stream || !roots)
    throw Error(Errc::config, fmt::format("{}: no root certificates can be read there",
                                          policy.simulated_root.string()));
  TrustAnchors anchors;
  for (const Certificate& root : *roots) {
    if (root.organization() != kSimulatedOrganisation)
      throw Error(Errc::config, fmt::format("{}: {} is not the root of a simulated platform",
                                            policy.simulated_root.string(), root.common_name()));
    const auto key = root.key();
    const bool is_amd = key && key->kind() == PublicKey::Kind::rsa;
    anchors.add({is_amd ? Vendor::amd : Vendor::intel, SnpProduct::genoa, root, true});
  }
  return anchors;
}

} // namespace talaria::attest
