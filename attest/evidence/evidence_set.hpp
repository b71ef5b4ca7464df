#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attest/evidence/azure_verify.hpp"

namespace talaria::attest {

/// Sorts of evidence, as policies and evidence documents name them.
enum class EvidenceKind { snp, tdx, azure_snp, azure_tdx };

/// "snp", "tdx", "azure-snp", "azure-tdx".
const char* to_string(EvidenceKind kind) noexcept;
std::optional<EvidenceKind> parse_evidence_kind(std::string_view word);

/// One piece of evidence with everything that came along, by name:
///
///   snp        report, leaf, authority, root, crl
///   tdx        quote, tcb_info, qe_identity, tcb_chain, qe_chain, root_crl, pck_crl
///   azure-snp  hcl, tpm_quote, tpm_signature, pcrs; leaf, authority, root, crl
///   azure-tdx  hcl, tpm_quote, tpm_signature, pcrs, quote; tcb_info...
///
/// What is not there is empty.
struct EvidenceSet {
  EvidenceKind kind = EvidenceKind::snp;
  std::map<std::string, std::vector<u8>, std::less<>> items;

  Bytes get(std::string_view name) const;
  /// Names of what this kind is made of, the evidence proper first, then the collateral.
  static const std::vector<std::string_view>& proper(EvidenceKind kind);
  static const std::vector<std::string_view>& collateral(EvidenceKind kind);
};

/// What any verifier found, whatever the kind.
struct Judgement {
  Checks checks;
  std::optional<SnpFacts> snp; ///< of Azure's too
  std::optional<TdxFacts> tdx;
  std::optional<AzureFacts> azure; ///< without `snp` and `tdx`, which stand above
};

/// verify_snp(), verify_tdx() or verify_azure(), as `set.kind` says.
Judgement verify_evidence(const EvidenceSet& set, const TrustAnchors& anchors, Clock clock);

} // namespace talaria::attest
