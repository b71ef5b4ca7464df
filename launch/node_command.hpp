#pragma once

#include <string>
#include <vector>

#include "config/pipeline_config.hpp"

namespace talaria::launch {

/// `word` so that a POSIX shell reads it back as one word.
std::string quote_for_shell(const std::string& word);

/// The command line that starts `node` from this machine: talaria-worker itself, or, for start:
/// ssh, the template of `launch.ssh` around it. A local program that is not named is the
/// talaria-worker beside the running program; a remote one is looked for in the PATH over there.
std::vector<std::string> node_command(const config::PipelineConfig& config,
                                      const config::WorkerNode& node);

/// Looks for what a local node would miss at once.
/// @throws Error{config} "file:line: workers[i].cert: ..." for a model, program or certificate that
/// is not there.
void check_local_files(const config::PipelineConfig& config, std::size_t index);

/// Whether something takes TCP connections on the address of `node`.
bool is_listening(const config::WorkerNode& node);

} // namespace talaria::launch
