#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "attest/evidence/evidence_set.hpp"

namespace talaria::tests {

inline std::filesystem::path vector_folder() {
  return std::filesystem::path(TALARIA_SOURCE_DIR) / "tests/attest/vectors";
}

inline std::vector<u8> vector_file(const std::string& name) {
  std::ifstream stream(vector_folder() / name, std::ios::binary);
  if (!stream) throw std::runtime_error(name + ": no such vector");
  return {std::istreambuf_iterator<char>(stream), {}};
}

inline attest::TimePoint at(const char* time) {
  return attest::parse_time(time).value();
}

/// Real evidence that is accepted at `when`.
struct RealEvidence {
  attest::EvidenceSet set;
  attest::TimePoint when;
};

inline RealEvidence snp_evidence(const std::string& name, const std::string& product,
                                 const char* when, const std::string& crl = {}) {
  RealEvidence evidence{{attest::EvidenceKind::snp, {}}, at(when)};
  auto& items = evidence.set.items;
  items["report"] = vector_file("snp/" + name + ".report");
  items["leaf"] = vector_file("snp/" + name + ".leaf.der");
  items["authority"] = vector_file("amd/" + product + "-ask.pem");
  items["root"] = vector_file("amd/" + product + "-ark.pem");
  if (!crl.empty()) items["crl"] = vector_file("amd/" + crl);
  return evidence;
}

inline RealEvidence turin() {
  return snp_evidence("turin-v5", "turin", "2026-08-01T00:00:00Z");
}
inline RealEvidence genoa() {
  return snp_evidence("genoa-v5", "genoa", "2026-08-15T00:00:00Z", "genoa-2026-07.crl");
}
inline RealEvidence milan() {
  return snp_evidence("milan-v2", "milan", "2025-09-01T00:00:00Z", "milan-2025-05.crl");
}

inline void add_collateral(attest::EvidenceSet& set, const std::string& info,
                           const std::string& rest) {
  set.items["tcb_info"] = vector_file("collateral/" + info + "/tcb_info.json");
  set.items["qe_identity"] = vector_file("collateral/" + rest + "/qe_identity.json");
  set.items["tcb_chain"] = vector_file("collateral/" + rest + "/tcb_signing_chain.pem");
  set.items["root_crl"] = vector_file("collateral/" + rest + "/root.crl");
  set.items["pck_crl"] = vector_file("collateral/" + rest + "/pck.crl");
}

inline RealEvidence emerald_v4() {
  RealEvidence evidence{{attest::EvidenceKind::tdx, {}}, at("2025-07-01T00:00:00Z")};
  evidence.set.items["quote"] = vector_file("tdx/v4-emr.quote");
  add_collateral(evidence.set, "2025-07-b0c06f", "2025-07-b0c06f");
  return evidence;
}

inline RealEvidence emerald_v5() {
  RealEvidence evidence{{attest::EvidenceKind::tdx, {}}, at("2026-04-01T00:00:00Z")};
  evidence.set.items["quote"] = vector_file("tdx/v5-emr.quote");
  add_collateral(evidence.set, "2026-04-90c06f", "2026-04");
  return evidence;
}

inline RealEvidence azure_genoa() {
  RealEvidence evidence{{attest::EvidenceKind::azure_snp, {}}, at("2025-09-01T00:00:00Z")};
  auto& items = evidence.set.items;
  items["hcl"] = vector_file("azure/snp-genoa-v3.hcl");
  items["leaf"] = vector_file("azure/snp-genoa-v3.leaf.der");
  items["authority"] = vector_file("amd/genoa-ask.pem");
  items["root"] = vector_file("amd/genoa-ark.pem");
  items["crl"] = vector_file("amd/genoa-2024-10.crl");
  items["tpm_quote"] = vector_file("azure/snp-genoa-v3.quote");
  items["tpm_signature"] = vector_file("azure/snp-genoa-v3.quote-sig");
  items["pcrs"] = vector_file("azure/snp-genoa-v3.pcrs");
  return evidence;
}

/// "accept", or the code of the refusal.
inline std::string outcome(const RealEvidence& evidence) {
  const auto judgement = attest::verify_evidence(evidence.set, attest::TrustAnchors::hardware(),
                                                 {evidence.when, attest::Seconds(0)});
  const auto refusal = judgement.checks.refusal();
  return refusal ? refusal->code : "accept";
}

} // namespace talaria::tests
