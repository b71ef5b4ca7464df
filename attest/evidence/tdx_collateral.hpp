#pragma once

#include "attest/evidence/tdx_verify.hpp"

namespace talaria::attest {

/// The signed parts of the two answers, as far as they can be cut out.
struct PcsBodies {
  std::optional<SignedBody> tcb_info;
  std::optional<SignedBody> qe_identity;
};

/// Records `tcb-missing`, `qe-missing` and `json`.
PcsBodies split_bodies(const TdxCollateral& collateral, Checks& checks);

/// The second half of verify_tdx(): Intel's statements about the platform of a quote whose chain
/// is rooted in `root`. Adds to `checks` and `facts`; `facts.pck` may be missing.
void judge_collateral(const TdxCollateral& collateral, const PcsBodies& bodies,
                      const Certificate& root, const RevocationList* root_crl,
                      const TrustAnchors& anchors, Clock clock, Checks& checks, TdxFacts& facts);

} // namespace talaria::attest
