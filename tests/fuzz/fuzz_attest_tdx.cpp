// Any bytes as a TDX quote, with no collateral and as each piece of it.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "attest/evidence/pck.hpp"
#include "attest/evidence/tdx_verify.hpp"

using namespace talaria::attest;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes(data, size);
  const Clock clock{TimePoint(Seconds(1780000000)), Seconds(300)};
  TdxEvidence evidence{bytes, std::nullopt};
  if (size % 2 == 1) evidence.collateral = TdxCollateral{bytes, bytes, bytes, {}, bytes, bytes};
  const auto judgement = verify_tdx(evidence, TrustAnchors::hardware(), clock);
  for (const Check& each : judgement.checks.ordered())
    if (each.name.empty() || each.reason.find('\n') != std::string::npos) std::abort();
  // A genuine seed may be accepted as it is; what is accepted has kept its promises.
  if (!judgement.checks.refusal() &&
      (!judgement.facts || judgement.facts->quote.signed_bytes.size() < 632))
    std::abort();
  if (const auto certificates = Certificate::bundle(bytes))
    for (const Certificate& certificate : *certificates) (void)read_pck(certificate);
  return 0;
}
