#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "attest/collateral/bundle.hpp"
#include "attest/endpoint/evidence_source.hpp"
#include "attest/endpoint/metadata_service.hpp"
#include "attest/guest/device_calls.hpp"
#include "attest/guest/tpm_device.hpp"
#include "attest/guest/tsm_report.hpp"
#include "core/digest.hpp"

namespace talaria::attest {

enum class GuestPlatform : u8 { automatic, sev_snp, tdx, azure };

struct GuestOptions {
  GuestPlatform platform = GuestPlatform::automatic;
  /// SHA-256 of the configuration, which HOST_DATA or MRCONFIGID has to be if it is anything.
  Sha256Digest configuration{};
  std::optional<Bundle> bundle;     ///< collateral that evidence is completed with
  std::filesystem::path root = "/"; ///< below which the kernel's files lie; of tests another
  std::unique_ptr<Tsm> tsm;         ///< null: configfs-tsm below `root`
  DeviceCalls devices = DeviceCalls::kernel();
  TpmExchange tpm;       ///< of Azure's machines; empty: /dev/tpmrm0 below `root`
  MetadataCall metadata; ///< of Azure's machines; empty: the one that each of them has
  Attempts attempts{};
};

/// Evidence of the confidential guest that this program runs in: configfs-tsm, or /dev/sev-guest
/// where the kernel has none. It verifies nothing, but that a report is about what was asked.
class GuestSource final : public EvidenceSource {
public:
  /// @throws Error{config} if this machine is no such guest, or its kernel cannot say so.
  explicit GuestSource(GuestOptions options);

  /// @throws Error{io} if the platform gives no report; Error{config} if it was started with
  /// another configuration than this program reads: whoever trusts the report would be misled.
  EvidenceSet evidence(const Bound& bound) override;
  /// Of SEV-SNP, by /dev/sev-guest; nothing without that device, and with TDX.
  std::optional<SealKey> derived_key() override;
  bool is_simulated() const noexcept override { return false; }

private:
  EvidenceSet ask(const std::array<u8, 64>& report_data);
  void require_own(const EvidenceSet& set, const std::array<u8, 64>& report_data) const;
  void require_configuration(Bytes started_with) const;
  std::filesystem::path sev_device() const { return options_.root / "dev/sev-guest"; }

  GuestOptions options_;
};

} // namespace talaria::attest
