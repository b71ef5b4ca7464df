#include "settings/engine/process_setup.hpp"

#include "core/cores.hpp"
#include "core/locked_memory.hpp"
#include "kernels/kernel_set.hpp"

namespace talaria::settings {

void set_up_process(const config::PipelineConfig& config) {
  if (!config.pipeline.cores.empty()) run_on_cores(parse_cores(config.pipeline.cores));
  lock_process_memory();
  if (!config.session.isa.empty())
    kernels::set_active_kernels(kernels::select_kernels(config.session.isa));
}

} // namespace talaria::settings
