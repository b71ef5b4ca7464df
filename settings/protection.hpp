#pragma once

#include <string>
#include <vector>

#include "config/pipeline_config.hpp"

namespace talaria::settings {

/// Permission to go on without part of the protection, given on the command line of this very
/// start: neither a file nor the environment can give it.
struct Allowances {
  bool hybrid = false;     ///< --allow-hybrid: the low-rank mask, which leaks
  bool clear = false;      ///< --allow-clear: no mask
  bool unverified = false; ///< --allow-unverified: workers' answers are not checked
};

/// Something that a configuration gives away, and the flag that permits it.
struct Weakness {
  const char* flag;
  const char* setting;      ///< "masking.scheme is hybrid"
  const char* gives_away;   ///< "workers can recover tokens from its low-rank mask"
  const char* flag_meaning; ///< of the flag, for its help
  bool Allowances::*allowed;
  bool (*is_present)(const config::Masking&);
};

/// All there are.
const std::vector<Weakness>& weaknesses();

/// Those of a configuration that nothing permits.
std::vector<const Weakness*> unpermitted(const config::Masking& masking, const Allowances& allowed);

/// For commands that serve.
/// @throws Error{usage} naming the setting, what it gives away, and the flag that permits it, if
/// `config` has less protection than lattice masks with checked answers and `allowed` does not
/// permit it.
void require_protection(const config::PipelineConfig& config, const Allowances& allowed);

/// For commands that answer the one who calls them: they only refuse scheme clear.
/// @throws Error{usage}
void require_masks(const config::PipelineConfig& config, const Allowances& allowed);

} // namespace talaria::settings
