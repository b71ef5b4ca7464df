// Any bytes as the paravisor's blob, its claims and a vTPM's quote.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "attest/evidence/azure_verify.hpp"

using namespace talaria::attest;

namespace {

template <class T>
void check(const Parsed<T>& parsed) {
  if (parsed) return;
  const Refusal& refusal = parsed.refusal();
  if (refusal.code.empty() || refusal.reason.empty() ||
      refusal.reason.find('\n') != std::string::npos)
    std::abort();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes bytes(data, size);
  const auto hcl = parse_hcl(bytes);
  check(hcl);
  if (hcl) check(read_hcl_claims(hcl->claims));
  check(read_hcl_claims(bytes));
  const auto quote = parse_tpm_quote(bytes);
  check(quote);
  if (quote && is_about(*quote, bytes)) std::abort(); // a digest of itself
  AzureEvidence evidence;
  evidence.hcl = bytes;
  evidence.kind = size % 2 == 0 ? HclReport::Kind::snp : HclReport::Kind::tdx;
  evidence.tpm = TpmEvidence{bytes, bytes, bytes};
  const auto judgement =
      verify_azure(evidence, TrustAnchors::hardware(), {TimePoint(), Seconds(0)});
  if (!judgement.checks.refusal()) std::abort();
  return 0;
}
