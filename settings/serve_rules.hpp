#pragma once

#include "config/pipeline_config.hpp"
#include "config/problems.hpp"
#include "settings/origin.hpp"

namespace talaria::settings {

/// Adds a problem if somebody could be served who must not be, or not that way: whoever else
/// reaches an address must say who he is, and nobody must hear him say it; a socket in the file
/// system is reached by whoever may open the file. /metrics tells how many tokens everybody uses.
void check_serving(const config::PipelineConfig& config, const Origins& origins,
                   config::Problems& problems);

} // namespace talaria::settings
