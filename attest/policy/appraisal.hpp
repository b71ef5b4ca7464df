#pragma once

#include <string>
#include <vector>

#include "attest/evidence/evidence_set.hpp"
#include "attest/policy/policy.hpp"

namespace talaria::attest {

/// Facts of one piece of evidence: SNP or TDX, and around them Azure's, where the kind is so.
struct Facts {
  EvidenceKind kind = EvidenceKind::snp;
  const SnpFacts* snp = nullptr;
  const TdxFacts* tdx = nullptr;
  const AzureFacts* azure = nullptr;

  bool simulated() const { return (snp && snp->simulated) || (tdx && tdx->simulated); }
};

/// A field in which evidence and a reference image differ.
struct Difference {
  std::string field;    ///< "measurement", "rtmr2", "pcr9"
  std::string expected; ///< the values allowed, in hexadecimal, with spaces between
  std::string actual;
};

struct ImageMatch {
  std::string name;    ///< of the image that matches; empty: none does
  std::string nearest; ///< of the one with the fewest differences; empty without images
  std::vector<Difference> differences; ///< to the nearest
};

/// Compares with each image of the policy that is about this kind of evidence.
ImageMatch match_image(const Facts& facts, const Policy& policy);

/// Adds to `checks` what the policy says about the facts, and to `warnings` what its owner ought to
/// know each time. Codes: in stage revocation `crl-missing`, in collateral `collateral-missing`; in
/// tcb_status `tcb-status`, `advisories`, `evaluation`; in policy `evidence-kind`, `simulated`,
/// `debug`, `migration`, `vmpl`, `tcb`, `product`, `signer`, `csp`, `report-version`, `smt`,
/// `platform`, `mitigations`, `chip`, `attributes`, `xfam`, `service-td`, `mr-seam`; in expected
/// `image`.
void appraise(const Facts& facts, const Policy& policy, TimePoint now, Checks& checks,
              ImageMatch& image, std::vector<std::string>& warnings);

} // namespace talaria::attest
