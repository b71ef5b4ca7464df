#pragma once

#include <array>
#include <optional>

#include "attest/evidence/evidence_set.hpp"
#include "core/seal.hpp"

namespace talaria::attest {

/// What evidence is to be bound to, in the two sizes for which platforms have room: REPORT_DATA,
/// and extraData of a vTPM's quote.
struct Bound {
  std::array<u8, 64> report_data{};
  std::array<u8, 32> qualifying{};
};

/// The platform that a program runs on, as far as it vouches for the program.
class EvidenceSource {
public:
  virtual ~EvidenceSource() = default;

  /// A report over what is asked, with the collateral that is in force, which travels with it so
  /// that verifiers need ask nobody. One call at a time; takes 5 to 100 ms on hardware.
  /// @throws Error{io} if the platform yields none now.
  virtual EvidenceSet evidence(const Bound& bound) = 0;
  /// A key that the platform derives for this program on this machine, the same after each start,
  /// and none for any other image, configuration or machine; nothing where there is no such thing
  /// (TDX). @throws Error{io} if the platform does not answer.
  virtual std::optional<SealKey> derived_key() { return std::nullopt; }
  /// Whether it proves nothing.
  virtual bool is_simulated() const noexcept = 0;
};

} // namespace talaria::attest
