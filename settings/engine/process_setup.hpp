#pragma once

#include "config/pipeline_config.hpp"

namespace talaria::settings {

/// What settings change in the whole process: keeps the calling thread, and every thread that
/// starts later, to `pipeline.cores`; locks memory as far as its limit allows (lock_warning() says
/// what could not be); chooses the SIMD target `session.isa`. Once, before anything is loaded, so
/// that memory lies next to these processors.
/// @throws Error{usage} for processors that this process may not use, or a SIMD target that this
/// machine does not have.
void set_up_process(const config::PipelineConfig& config);

} // namespace talaria::settings
