#pragma once

#include <array>

#include "attest/evidence/evidence_set.hpp"

namespace talaria::attest {

/// The platform that a program runs on, as far as it vouches for the program.
class EvidenceSource {
public:
  virtual ~EvidenceSource() = default;

  /// A report over `report_data` with the collateral that is in force, which travels with it so
  /// that verifiers need ask nobody. One call at a time; takes 5 to 100 ms on hardware.
  /// @throws Error{io} if the platform yields none now.
  virtual EvidenceSet evidence(const std::array<u8, 64>& report_data) = 0;
  /// Whether it proves nothing.
  virtual bool is_simulated() const noexcept = 0;
};

} // namespace talaria::attest
