#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "config/pipeline_config.hpp"

namespace talaria::cli {

/// Permission to serve without part of the protection, given on the command line of this very
/// start: neither a file nor the environment can give it.
struct Allowances {
  bool hybrid = false;     ///< --allow-hybrid: the low-rank mask, which leaks
  bool clear = false;      ///< --allow-clear: no mask
  bool unverified = false; ///< --allow-unverified: workers' answers are not checked

  /// Adds the three flags to a command that serves.
  void add_to(CLI::App& command);
  /// The flags that are set, for another start of this program.
  std::vector<std::string> arguments() const;
};

/// @throws Error{usage} naming the setting, what it gives away, and the flag that permits it, if
/// `settings` have less protection than lattice masks with checked answers and `allowed` does not
/// permit it.
void require_protection(const config::PipelineConfig& settings, const Allowances& allowed);

/// For commands that go on with `integrity: none`.
inline constexpr const char* kUnverifiedWarning =
    "masking.integrity is none: workers' answers are not checked, so they may be wrong, and a "
    "worker that changes them on purpose learns about what they were for";

} // namespace talaria::cli
