#pragma once

#include <filesystem>

#include "attest/endpoint/evidence_source.hpp"
#include "attest/simulated/platform_folder.hpp"

namespace talaria::attest {

/// What a simulated platform says of the program; on hardware the processor measures it.
struct SimulatedGuest {
  EvidenceKind kind = EvidenceKind::snp; ///< snp or tdx
  std::array<u8, 48> measurement{};      ///< MEASUREMENT or MRTD
  std::array<u8, 32> configuration{};    ///< HOST_DATA, or the start of MRCONFIGID
};

/// Evidence of a folder that `talaria attest simulate init` made.
class SimulatedSource final : public EvidenceSource {
public:
  /// @throws Error{io, config} as PlatformFolder's constructor, Error{usage} for another kind.
  SimulatedSource(const std::filesystem::path& folder, const SimulatedGuest& guest);

  EvidenceSet evidence(const Bound& bound) override;
  /// Of the simulated chip's private key; with kind snp alone, as on hardware.
  std::optional<SealKey> derived_key() override;
  bool is_simulated() const noexcept override { return true; }

private:
  const simulated::PlatformFolder platform_;
  const SimulatedGuest guest_;
};

} // namespace talaria::attest
