#include "attest/endpoint/machine_source.hpp"

#include <system_error>

namespace talaria::attest {
namespace {

bool exists_below(const GuestOptions& options, const char* file) {
  std::error_code ignored;
  return std::filesystem::exists(options.root / file, ignored);
}

/// A paravisor keeps the hardware's interfaces to itself.
bool has_vtpm_alone(const GuestOptions& options) {
  for (const char* file :
       {"sys/kernel/config/tsm/report", "dev/sev-guest", "dev/tdx_guest", "dev/tdx-guest"})
    if (exists_below(options, file)) return false;
  return exists_below(options, "dev/tpmrm0");
}

} // namespace

std::unique_ptr<EvidenceSource> machine_source(GuestOptions options) {
  const bool is_azure =
      options.platform == GuestPlatform::azure ||
      (options.platform == GuestPlatform::automatic && !options.tsm && has_vtpm_alone(options));
  if (!is_azure) return std::make_unique<GuestSource>(std::move(options));
  AzureOptions azure;
  azure.tpm = options.tpm ? std::move(options.tpm) : tpm_exchange(options.root / "dev/tpmrm0");
  azure.metadata = options.metadata ? std::move(options.metadata) : azure_metadata_call();
  azure.bundle = std::move(options.bundle);
  azure.attempts = std::move(options.attempts);
  return std::make_unique<AzureSource>(std::move(azure));
}

} // namespace talaria::attest
