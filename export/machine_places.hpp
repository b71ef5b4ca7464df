#pragma once

#include <string>
#include <vector>

#include "export/cluster.hpp"
#include "export/pipeline_file.hpp"

namespace talaria::exporting {

/// Everything where the pipeline.yaml has it, with absolute paths; certificates of workers are
/// asked for the names that the file gives.
GatewayPlaces places_of_this_machine(const Cluster& cluster);

/// The command line of a worker that somebody else starts: `program` --listen `listen` ..., with
/// the files that the entry gives, or else those that `talaria launch` would take.
std::vector<std::string> worker_command(const Cluster& cluster, const config::WorkerNode& node,
                                        const std::string& listen, const std::string& program,
                                        const std::string& device, std::size_t threads);

/// A path on the worker's machine: as it is for workers on other machines, absolute for local ones.
std::string worker_path(const config::WorkerNode& node, const std::filesystem::path& path);

} // namespace talaria::exporting
