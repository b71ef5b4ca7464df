#include "attest/evidence/evidence_set.hpp"

#include <array>

namespace talaria::attest {
namespace {

constexpr std::array kKindWords = {"snp", "tdx", "azure-snp", "azure-tdx"};

bool is_snp(EvidenceKind kind) {
  return kind == EvidenceKind::snp || kind == EvidenceKind::azure_snp;
}

SnpEvidence snp_of(const EvidenceSet& set) {
  return {set.get("report"), set.get("leaf"), set.get("authority"), set.get("root"),
          set.get("crl")};
}

TdxEvidence tdx_of(const EvidenceSet& set) {
  TdxEvidence evidence{set.get("quote"), std::nullopt};
  bool has_collateral = false;
  for (const std::string_view name : EvidenceSet::collateral(EvidenceKind::tdx))
    has_collateral = has_collateral || !set.get(name).empty();
  if (has_collateral)
    evidence.collateral =
        TdxCollateral{set.get("tcb_info"), set.get("qe_identity"), set.get("tcb_chain"),
                      set.get("qe_chain"), set.get("root_crl"),    set.get("pck_crl")};
  return evidence;
}

Judgement verify_azure_set(const EvidenceSet& set, const TrustAnchors& anchors, Clock clock) {
  AzureEvidence evidence;
  evidence.hcl = set.get("hcl");
  evidence.kind = is_snp(set.kind) ? HclReport::Kind::snp : HclReport::Kind::tdx;
  evidence.snp = snp_of(set);
  evidence.tdx = tdx_of(set);
  if (!set.get("tpm_quote").empty())
    evidence.tpm = TpmEvidence{set.get("tpm_quote"), set.get("tpm_signature"), set.get("pcrs")};
  AzureJudgement found = verify_azure(evidence, anchors, clock);
  Judgement judgement{std::move(found.checks), std::move(found.facts.snp),
                      std::move(found.facts.tdx), std::nullopt};
  found.facts.snp.reset();
  found.facts.tdx.reset();
  judgement.azure = std::move(found.facts);
  return judgement;
}

} // namespace

const char* to_string(EvidenceKind kind) noexcept {
  return kKindWords[static_cast<std::size_t>(kind)];
}

std::optional<EvidenceKind> parse_evidence_kind(std::string_view word) {
  for (std::size_t i = 0; i < kKindWords.size(); ++i)
    if (word == kKindWords[i]) return static_cast<EvidenceKind>(i);
  return std::nullopt;
}

Bytes EvidenceSet::get(std::string_view name) const {
  const auto found = items.find(name);
  return found == items.end() ? Bytes() : Bytes(found->second);
}

const std::vector<std::string_view>& EvidenceSet::proper(EvidenceKind kind) {
  static const std::vector<std::string_view> snp{"report"};
  static const std::vector<std::string_view> tdx{"quote"};
  static const std::vector<std::string_view> azure_snp{"hcl", "tpm_quote", "tpm_signature", "pcrs"};
  static const std::vector<std::string_view> azure_tdx{"hcl", "tpm_quote", "tpm_signature", "pcrs",
                                                       "quote"};
  if (kind == EvidenceKind::snp) return snp;
  if (kind == EvidenceKind::tdx) return tdx;
  return kind == EvidenceKind::azure_snp ? azure_snp : azure_tdx;
}

const std::vector<std::string_view>& EvidenceSet::collateral(EvidenceKind kind) {
  static const std::vector<std::string_view> amd{"leaf", "authority", "root", "crl"};
  static const std::vector<std::string_view> intel{"tcb_info", "qe_identity", "tcb_chain",
                                                   "qe_chain", "root_crl",    "pck_crl"};
  return is_snp(kind) ? amd : intel;
}

Judgement verify_evidence(const EvidenceSet& set, const TrustAnchors& anchors, Clock clock) {
  if (set.kind == EvidenceKind::snp) {
    SnpJudgement found = verify_snp(snp_of(set), anchors, clock);
    return {std::move(found.checks), std::move(found.facts), std::nullopt, std::nullopt};
  }
  if (set.kind == EvidenceKind::tdx) {
    TdxJudgement found = verify_tdx(tdx_of(set), anchors, clock);
    return {std::move(found.checks), std::nullopt, std::move(found.facts), std::nullopt};
  }
  return verify_azure_set(set, anchors, clock);
}

} // namespace talaria::attest
