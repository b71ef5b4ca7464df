#include "attest/evidence/azure_verify.hpp"

#include <algorithm>

#include "core/equal_bytes.hpp"

namespace talaria::attest {
namespace {

constexpr Stage kBinding = Stage::binding;
constexpr std::size_t kBoundBytes = 32;

/// The first 32 bytes of REPORT_DATA are those of the claims' digest, and the rest is zero.
bool vouches_for(Bytes report_data, const HclReport& hcl) {
  const std::vector<u8> wanted = digest(hcl.hash, hcl.claims);
  return equal_in_constant_time(report_data.first(kBoundBytes), Bytes(wanted).first(kBoundBytes)) &&
         all_zero(report_data.subspan(kBoundBytes));
}

/// REPORT_DATA of the verified report, wherever that came from; empty if it could not be read.
std::vector<u8> verify_hardware(const AzureEvidence& evidence, const HclReport& hcl,
                                const TrustAnchors& anchors, Clock clock,
                                AzureJudgement& judgement) {
  if (hcl.kind == HclReport::Kind::snp) {
    SnpEvidence snp = evidence.snp;
    snp.report = hcl.report;
    SnpJudgement inner = verify_snp(snp, anchors, clock);
    judgement.checks.add(inner.checks);
    judgement.facts.snp = std::move(inner.facts);
    return judgement.facts.snp ? to_vector(judgement.facts.snp->report.report_data)
                               : std::vector<u8>{};
  }
  TdxJudgement inner = verify_tdx(evidence.tdx, anchors, clock);
  judgement.checks.add(inner.checks);
  judgement.facts.tdx = std::move(inner.facts);
  return judgement.facts.tdx ? to_vector(judgement.facts.tdx->quote.report_data)
                             : std::vector<u8>{};
}

void verify_tpm(const TpmEvidence& evidence, const PublicKey& key, AzureJudgement& judgement) {
  Checks& checks = judgement.checks;
  checks.require(key.verifies_rsa_pkcs1(evidence.signature, evidence.quote), kBinding,
                 "tpm-signature", "the TPM quote is not signed by the vTPM's key");
  const auto quote = parse_tpm_quote(evidence.quote);
  if (!quote) return checks.fail(quote.refusal());
  judgement.facts.tpm = *quote;
  if (checks.require(is_about(*quote, evidence.pcrs), kBinding, "tpm-pcrs",
                     "the TPM quote is not about SHA-256 registers 0 to 23 with these values"))
    judgement.facts.pcrs = to_vector(evidence.pcrs);
}

} // namespace

AzureJudgement verify_azure(const AzureEvidence& evidence, const TrustAnchors& anchors,
                            Clock clock) {
  AzureJudgement judgement;
  Checks& checks = judgement.checks;
  const auto hcl = parse_hcl(evidence.hcl);
  if (!hcl) {
    checks.fail(hcl.refusal());
    return judgement;
  }
  judgement.facts.hcl_version = hcl->version;
  if (!checks.require(hcl->kind == evidence.kind, Stage::format, "hcl-type",
                      "the blob holds a report of the other kind"))
    return judgement;
  const std::vector<u8> report_data = verify_hardware(evidence, *hcl, anchors, clock, judgement);
  if (report_data.empty()) return judgement;
  checks.require(vouches_for(report_data, *hcl), kBinding, "hcl-binding",
                 "the hardware's report does not vouch for the claims");
  const auto claims = read_hcl_claims(hcl->claims);
  if (!claims) {
    checks.fail(claims.refusal());
    return judgement;
  }
  checks.pass(kBinding, "hcl-ak");
  judgement.facts.user_data = claims->user_data;
  judgement.facts.vm_id = claims->vm_id;
  judgement.facts.secure_boot = claims->secure_boot;
  if (evidence.tpm) verify_tpm(*evidence.tpm, claims->attestation_key, judgement);
  return judgement;
}

void check_tpm_nonce(const TpmQuote& quote, Bytes nonce, Checks& checks) {
  checks.require(!nonce.empty() && equal_in_constant_time(quote.extra_data, nonce), kBinding,
                 "tpm-nonce",
                 quote.extra_data.empty() ? "the TPM quote carries no nonce: it is fresh for nobody"
                                          : "the TPM quote carries another nonce");
}

} // namespace talaria::attest
