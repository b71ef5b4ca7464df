#pragma once

#include "config/pipeline_config.hpp"
#include "config/problems.hpp"
#include "settings/origin.hpp"

namespace talaria::settings {

/// Adds a problem for every value that does not fit to the others, whatever gave them: a model that
/// is not there, workers without tls, delays that end before they begin, buckets larger than a
/// micro-batch, an address that others reach without TLS or keys.
void check_together(const config::PipelineConfig& config, const Origins& origins,
                    config::Problems& problems);

/// The environment of a process is set by more people than its file is: it may name other files and
/// stronger protection, never weaker protection. Adds a problem for a variable that made `now`
/// weaker than `file`.
void check_not_weakened(const config::Masking& file, const config::Masking& now,
                        config::Problems& problems);

} // namespace talaria::settings
