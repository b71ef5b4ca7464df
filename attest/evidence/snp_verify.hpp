#pragma once

#include <optional>
#include <string>
#include <vector>

#include "attest/evidence/chain.hpp"
#include "attest/evidence/roots.hpp"
#include "attest/evidence/snp_report.hpp"

namespace talaria::attest {

/// Bytes as somebody sent them.
struct SnpEvidence {
  Bytes report;    ///< 1,184 bytes
  Bytes leaf;      ///< VCEK or VLEK, DER or PEM
  Bytes authority; ///< ASK or ASVK, DER or PEM
  Bytes root;      ///< ARK, DER or PEM; may be empty: then the pinned one that fits is used
  Bytes crl;       ///< of the product; empty: none at hand, which the policy judges
};

/// What a report says and its chain vouches for.
struct SnpFacts {
  SnpReport report;
  SnpProduct product = SnpProduct::milan; ///< of the chain
  std::string product_name;               ///< of the leaf: "Milan-B0"
  std::string csp;                        ///< of a VLEK
  SnpTcb reported;
  SnpTcb committed;
  SnpTcb current;
  SnpTcb launch;
  bool simulated = false; ///< the root is one of a simulated platform
  bool has_crl = false;
  Ledger collateral;
};

/// `facts` are there as far as they could be read; they hold only if `checks` has no refusal.
struct SnpJudgement {
  Checks checks;
  std::optional<SnpFacts> facts;
};

/// FAMILY_ID of every simulated report, and of no other.
inline constexpr std::string_view kSimulatedFamily = "SIMULATED-NOT-HW";
/// The organisation in the names of every simulated authority, and of no other.
inline constexpr std::string_view kSimulatedOrganisation = "TALARIA SIMULATION - NOT HARDWARE";

/// Checks a report from its format to its signature (AMD 56860, 57230). Pure: time is an argument.
///
/// Codes besides those of parse_snp_report() and read_snp_leaf(): `root-not-pinned`, `simulated`;
/// `chain`, `collateral-missing` (no leaf or authority); `certificate-dates`; `crl-signature`,
/// `-format`, `-scope`, `-not-yet-valid`,
/// `-expired`, `-revoked`; `product`, `reserved`, `leaf-tcb`, `chip-id`, `leaf-key`; `signature`.
/// Not judged here: debug, migration, VMPL, floors, measurements, report data, and whether a
/// missing CRL is bearable (attest/policy).
SnpJudgement verify_snp(const SnpEvidence& evidence, const TrustAnchors& anchors, Clock clock);

} // namespace talaria::attest
