#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/pipeline_config.hpp"
#include "config/yaml_tree.hpp"
#include "core/integers.hpp"

namespace talaria::exporting {

/// What a model takes, as `talaria launch --dry-run` computes it; bytes.
struct ModelSizes {
  std::vector<u64> worker_weights; ///< of each worker, in the order of the file
  u64 hints = 0;                   ///< in the memory of the gateway
};

/// What is handed to another launcher: a pipeline.yaml that serves and has workers.
struct Cluster {
  std::string name; ///< a DNS label of at most kMaxClusterName characters
  config::PipelineConfig config;
  config::YamlNode document;              ///< the file as it was written
  std::vector<std::string> worker_labels; ///< DNS labels, in the order of config.workers
  std::optional<ModelSizes> sizes;        ///< nothing: the model's folder was not there to look at
};

/// @param config what `text` says, as settings/resolve.hpp reads it
/// @param name of the cluster; empty: made of the file's name, and where that is "pipeline", of its
/// folder's
/// @throws Error{config} if it has no workers or no section `serve`; Error{usage} for a name that
/// is no DNS label.
Cluster make_cluster(const config::PipelineConfig& config, std::string_view text,
                     const std::string& name);

/// What `device` asks for: 0 for cpu and auto, or a number of GPUs.
u32 gpu_count(const std::string& device);
/// The same number of GPUs where they are numbered from 0, as in a container or a job step.
std::string renumbered_device(const std::string& device);

/// Workers with one share of the same layers stand in for each other: "0-15", "all", "0-15.1of2".
std::string share_name(const config::WorkerNode& node);
/// Layers that only one worker holds: when it restarts, requests wait for it. Empty: there are
/// none.
std::vector<std::string> unreplicated_workers(const config::PipelineConfig& config);

/// The worker's part of a command line, from --layers on: its share, formats and name, without
/// addresses, files and processors. `threads`: 0 leaves it to the worker.
std::vector<std::string> worker_share_flags(const config::PipelineConfig& config,
                                            const config::WorkerNode& node,
                                            const std::string& device, std::size_t threads);
/// Whether the worker asks an enclave's certificate about its authority: not if evidence is enough.
bool needs_authority(const config::PipelineConfig& config, const config::WorkerNode& node);

/// `path` without relative parts.
std::string absolute_text(const std::filesystem::path& path);

} // namespace talaria::exporting
