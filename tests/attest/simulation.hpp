#pragma once

#include <functional>
#include <string>

#include "attest/evidence/evidence_set.hpp"
#include "attest/simulated/snp_platform.hpp"
#include "attest/simulated/tdx_platform.hpp"

namespace talaria::tests {

namespace sim = attest::simulated;

/// The time at which the authorities below are made; evidence is judged a day later.
inline constexpr attest::TimePoint kMade{std::chrono::sys_days(std::chrono::year(2026) / 2 / 1)};
inline constexpr attest::TimePoint kJudged = kMade + std::chrono::days(1);

/// Made once: RSA keys of this size take seconds.
inline const sim::SnpAuthority& snp_authority() {
  static const sim::SnpAuthority authority = sim::make_snp_authority(kMade);
  return authority;
}

inline const sim::TdxAuthority& tdx_authority() {
  static const sim::TdxAuthority authority = sim::make_tdx_authority(kMade);
  return authority;
}

inline attest::TrustAnchors simulated_anchors() {
  attest::TrustAnchors anchors;
  const auto certificate = [](const std::vector<u8>& der) {
    return attest::Certificate::from_der(der).value();
  };
  anchors.add({attest::Vendor::amd, attest::SnpProduct::genoa,
               certificate(snp_authority().ark_certificate), true});
  anchors.add({attest::Vendor::intel, attest::SnpProduct::genoa,
               certificate(tdx_authority().root_certificate), true});
  return anchors;
}

inline attest::EvidenceSet snp_set(const sim::ReportSpec& spec = {}) {
  const sim::SnpAuthority& authority = snp_authority();
  return {attest::EvidenceKind::snp,
          {{"report", sim::make_report(spec, authority.vcek)},
           {"leaf", authority.vcek_certificate},
           {"authority", authority.ask_certificate},
           {"root", authority.ark_certificate},
           {"crl", authority.crl}}};
}

inline std::vector<u8> bytes_of(const std::string& text) {
  return {text.begin(), text.end()};
}

inline sim::TcbInfoSpec info_spec() {
  sim::TcbInfoSpec spec;
  spec.issued = kMade;
  spec.next_update = kMade + std::chrono::days(30);
  spec.levels = {sim::platform_level()};
  return spec;
}

inline sim::QeIdentitySpec identity_spec() {
  sim::QeIdentitySpec spec;
  spec.issued = kMade;
  spec.next_update = kMade + std::chrono::days(30);
  return spec;
}

inline attest::EvidenceSet tdx_set(const sim::QuoteSpec& quote = {},
                                   const sim::TcbInfoSpec& info = info_spec(),
                                   const sim::QeIdentitySpec& identity = identity_spec()) {
  const sim::TdxAuthority& authority = tdx_authority();
  return {attest::EvidenceKind::tdx,
          {{"quote", sim::make_quote(quote, authority)},
           {"tcb_info", bytes_of(sim::make_tcb_info(info, authority.tcb_signer))},
           {"qe_identity", bytes_of(sim::make_qe_identity(identity, authority.tcb_signer))},
           {"tcb_chain", bytes_of(sim::tcb_chain_of(authority))},
           {"root_crl", authority.root_crl},
           {"pck_crl", authority.pck_crl}}};
}

/// "accept", or the code of the refusal.
inline std::string simulated_outcome(const attest::EvidenceSet& set,
                                     attest::TimePoint when = kJudged,
                                     attest::Seconds skew = attest::Seconds(0)) {
  const auto judgement = attest::verify_evidence(set, simulated_anchors(), {when, skew});
  const auto refusal = judgement.checks.refusal();
  return refusal ? refusal->code : "accept";
}

} // namespace talaria::tests
