#pragma once

#include "attest/evidence/tdx_verify.hpp"

namespace talaria::attest {

/// The second half of verify_tdx(): Intel's statements about the platform of a quote whose chain
/// is rooted in `root`. Adds to `checks` and `facts`; `facts.pck` may be missing.
void judge_collateral(const TdxCollateral& collateral, const Certificate& root,
                      const RevocationList* root_crl, const TrustAnchors& anchors, Clock clock,
                      Checks& checks, TdxFacts& facts);

} // namespace talaria::attest
