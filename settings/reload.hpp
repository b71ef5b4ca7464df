#pragma once

#include <string>
#include <vector>

#include "config/pipeline_config.hpp"

namespace talaria::settings {

/// What a file that has changed changes in a running gateway.
struct Reload {
  config::PipelineConfig config;    ///< to go by: the running one, with what is taken over
  std::vector<std::string> changed; ///< settings that are taken over: "workers"
  std::vector<std::string> ignored; ///< settings that differ, and count after a restart
};

/// Compares what a gateway runs with and what its file says now, both with the same environment and
/// flags. Taken over are the settings that the table marks (SettingOf::is_reloaded). Whether there
/// are workers at all does not change in a running gateway. Of a worker its place in the list and
/// what only its start needs (device, program, ...) do not count.
Reload reload(const config::PipelineConfig& running, const config::PipelineConfig& file);

} // namespace talaria::settings
