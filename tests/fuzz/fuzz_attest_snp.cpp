// Any bytes as an SNP report, its certificates and its CRL: either a refusal with a reason of one
// line, or facts. The first byte says which of them the rest is; the others are absent.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "attest/evidence/snp_leaf.hpp"
#include "attest/evidence/snp_verify.hpp"

using namespace talaria::attest;

namespace {

void require(bool kept) {
  if (!kept) std::abort();
}

void check(const Checks& checks) {
  for (const Check& each : checks.ordered()) {
    require(!each.name.empty() && each.reason.find('\n') == std::string::npos);
    require(each.result != CheckResult::fail || !each.reason.empty());
  }
  require(checks.refusal().has_value()); // nobody signs for a fuzzer
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Bytes whole(data, size);
  const Bytes rest = whole.subspan(1);
  SnpEvidence evidence;
  evidence.report = whole; // as a seed file is
  evidence.leaf = rest;
  if (data[0] % 4 == 1) evidence.authority = rest;
  if (data[0] % 4 == 2) evidence.root = rest;
  if (data[0] % 4 == 3) evidence.crl = rest;
  const Clock clock{TimePoint(Seconds(1780000000)), Seconds(300)};
  check(verify_snp(evidence, TrustAnchors::hardware(), clock).checks);
  for (const Bytes bytes : {whole, rest}) {
    (void)parse_snp_report(bytes);
    (void)RevocationList::from(bytes);
    const auto certificates = Certificate::bundle(bytes);
    if (!certificates) continue;
    for (const Certificate& certificate : *certificates) {
      (void)certificate.common_name();
      (void)certificate.may_be_authority();
      (void)certificate.is_issued_by(certificate, SignatureRule::rsa_pss_sha384);
      for (const auto product : {SnpProduct::milan, SnpProduct::turin})
        for (const auto signer : {SnpSigner::vcek, SnpSigner::vlek})
          (void)read_snp_leaf(certificate, product, signer);
    }
  }
  return 0;
}
