#pragma once

#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "attest/evidence/chain.hpp"

namespace talaria::attest {

/// The newest dates of the lists and statements that this verifier has relied on: revocation lists,
/// Intel's TCB info and identity of the quoting enclave. The prover brings his own collateral, and
/// could go on showing what was in force before he was revoked, as long as its dates are good.
/// Thread-safe. One process to a file.
class SeenCollateral {
public:
  /// In memory alone.
  SeenCollateral() = default;
  /// Reads `file`; one that is not there is made, mode 0600, when something is to be kept.
  /// @throws Error{config} naming the file if it is none of ours, Error{io} if it cannot be read.
  explicit SeenCollateral(std::filesystem::path file);

  /// Notes what an accepted verdict rests on. If any of it is older than what was seen before,
  /// nothing is noted: stage collateral, `rollback`. The file is replaced as a whole.
  /// @param platform  to which TCB info belongs: FMSPC in hexadecimal; empty without one
  /// @throws Error{io} if the file cannot be written.
  std::optional<Refusal> note(const Ledger& ledger, std::string_view platform);

  /// The time, if `system` says so: a clock that a host has set back is not before the newest date
  /// that was signed and seen.
  TimePoint not_before_seen(TimePoint system) const;

private:
  using Dates = std::map<std::string, TimePoint>;
  void write(const Dates& dates) const;

  const std::filesystem::path file_;
  mutable std::mutex mutex_;
  Dates newest_;
};

} // namespace talaria::attest
