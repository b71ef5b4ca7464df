#pragma once

#include <memory>

#include "cli/interrupt.hpp"
#include "config/pipeline_config.hpp"
#include "launch/supervisor.hpp"

namespace talaria::cli {

/// For commands that use a cluster for a moment: starts the local nodes of the file that nobody
/// listens for yet, and waits until they are ready. They end with the returned object; null if
/// there was nothing to start. An interrupt meanwhile ends them and throws Error{cancelled}.
/// @throws as launch::Supervisor::start() and wait_until_ready().
std::unique_ptr<launch::Supervisor> start_local_nodes(const config::PipelineConfig& config,
                                                      InterruptWatch& interrupts);

} // namespace talaria::cli
