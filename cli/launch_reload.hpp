#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "config/pipeline_config.hpp"
#include "launch/supervisor.hpp"

namespace talaria::cli {

/// What `talaria launch` does when its file has changed.
struct LaunchReload {
  std::function<config::PipelineConfig()> read_again; ///< @throws Error for a file that is wrong
  std::function<void(std::string_view)> tell;         ///< one line for a person
  /// The health of the gateway's links, a JSON array of objects with "name"; empty: nobody serves.
  std::function<std::string()> links;
  /// Waits a moment. @returns whether all is to end.
  std::function<bool()> wait;
};

/// Starts nodes that are new in the file, starts those again whose command line has changed, and
/// ends those that have gone, once the gateway, which reads the file itself, has let go of them (it
/// ends their last products first, and waits for those that replace them). Returns when that is
/// over, or the file has changed again. What cannot be read changes nothing.
/// @param running  what the nodes were started by: their model and certificates stay
void reload_nodes(const config::PipelineConfig& running, const LaunchReload& reload,
                  launch::Supervisor& supervisor);

} // namespace talaria::cli
