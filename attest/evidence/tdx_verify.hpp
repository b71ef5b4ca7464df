#pragma once

#include <optional>
#include <string>
#include <vector>

#include "attest/evidence/chain.hpp"
#include "attest/evidence/pck.hpp"
#include "attest/evidence/roots.hpp"
#include "attest/evidence/tdx_quote.hpp"
#include "attest/evidence/tdx_tcb.hpp"

namespace talaria::attest {

/// Answers of Intel's service (PCS v4) as they came.
struct TdxCollateral {
  Bytes tcb_info;    ///< {"tcbInfo": ..., "signature": ...}
  Bytes qe_identity; ///< {"enclaveIdentity": ..., "signature": ...}
  Bytes tcb_chain;   ///< PEM: TCB signing certificate, root
  Bytes qe_chain;    ///< the same for the QE identity; empty: tcb_chain
  Bytes root_crl;
  Bytes pck_crl; ///< of the authority that issued the PCK certificate
};

struct TdxEvidence {
  Bytes quote;
  std::optional<TdxCollateral> collateral; ///< nothing: none at hand, which the policy judges
};

struct TdxFacts {
  TdxQuote quote;
  std::optional<PckFacts> pck;
  std::optional<TcbVerdict> tcb; ///< with collateral
  u32 tcb_evaluation = 0;
  u32 qe_evaluation = 0;
  bool simulated = false;
  bool has_collateral = false;
  Ledger collateral;
};

/// `facts` are there as far as they could be read; they hold only if `checks` has no refusal.
struct TdxJudgement {
  Checks checks;
  std::optional<TdxFacts> facts;
};

/// Checks a quote from its format to what Intel says about its platform (TDX DCAP quote library
/// API; PCS v4). Pure: time is an argument.
///
/// Codes besides those of the parsers: `root-not-pinned`, `simulated`; `chain`;
/// `certificate-dates`; `root-crl-*`, `pck-crl-*` (-missing, -signature, -scope,
/// -not-yet-valid, -expired, -revoked); `pck-extension`, `leaf-key`; `qe-report-signature`,
/// `qe-report-data`, `signature`; `json`; `tcb-missing`, `tcb-chain`, `tcb-chain-dates`,
/// `tcb-signature`, `tcb-not-yet-valid`, `tcb-expired`, `tcb-id` and the same with `qe-`; `fmspc`,
/// `pceid`; `qe-identity`, `tdx-module`; `tcb`, `tcb-status` (revoked, or a word that is not
/// known). Not judged here: which statuses are good enough, debug, measurements (attest/policy).
TdxJudgement verify_tdx(const TdxEvidence& evidence, const TrustAnchors& anchors, Clock clock);

} // namespace talaria::attest
