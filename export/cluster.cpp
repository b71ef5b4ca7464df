#include "export/cluster.hpp"

#include <algorithm>

#include "core/error.hpp"
#include "export/names.hpp"

namespace talaria::exporting {

namespace {

namespace fs = std::filesystem;
using config::WorkerNode;

std::string default_name(const fs::path& file) {
  const fs::path path = fs::absolute(file).lexically_normal();
  std::string stem = path.stem().string();
  if (stem == "pipeline") stem = path.parent_path().filename().string();
  return dns_labels({stem.empty() ? "talaria" : stem}, kMaxClusterName).front();
}

void require_cluster(const config::PipelineConfig& config) {
  const std::string file = config.file.string();
  if (config.workers.empty())
    throw Error(Errc::config, file +
                                  ": workers: missing; expected at least one. For an engine "
                                  "without workers take packaging/systemd/talaria-enclave.service");
  if (!config.serve.listen)
    throw Error(Errc::config, file + ": serve: missing; expected it, since the exported gateway "
                                     "serves the API. serve: { listen: 127.0.0.1:8000 } is enough");
}

bool overlaps(const WorkerNode& a, const WorkerNode& b) {
  if (a.columns.count > 1 && b.columns.count > 1 && !(a.columns == b.columns)) return false;
  return a.layers.all || b.layers.all ||
         (a.layers.first <= b.layers.last && b.layers.first <= a.layers.last);
}

/// Whether `other` has all that `node` has.
bool covers(const WorkerNode& other, const WorkerNode& node) {
  if (other.columns.count > 1 && !(other.columns == node.columns)) return false;
  if (other.layers.all) return true;
  return !node.layers.all && other.layers.first <= node.layers.first &&
         node.layers.last <= other.layers.last;
}

} // namespace

Cluster make_cluster(const config::PipelineConfig& config, std::string_view text,
                     const std::string& name) {
  require_cluster(config);
  if (!name.empty() && !is_dns_label(name, kMaxClusterName))
    throw Error(Errc::usage, "--name: expected 1 to 20 lower-case letters, digits and '-', "
                             "beginning with a letter and not ending with '-'");
  Cluster cluster{name.empty() ? default_name(config.file) : name,
                  config,
                  config::parse_yaml(text, config.file),
                  {},
                  std::nullopt};
  std::vector<std::string> names;
  for (const WorkerNode& node : config.workers) names.push_back(node.name);
  // Names of objects end with these where they are not a worker's.
  cluster.worker_labels =
      dns_labels(names, kMaxWorkerName, {"api", "authority", "enclave", "gateway", "worker"});
  return cluster;
}

u32 gpu_count(const std::string& device) {
  if (!device.starts_with("cuda")) return 0;
  return 1 + static_cast<u32>(std::count(device.begin(), device.end(), ','));
}

std::string renumbered_device(const std::string& device) {
  const u32 gpus = gpu_count(device);
  if (gpus == 0) return device;
  std::string out = "cuda:0";
  for (u32 i = 1; i < gpus; ++i) out += ',' + std::to_string(i);
  return out;
}

std::string share_name(const WorkerNode& node) {
  std::string name = to_string(node.layers);
  if (node.columns.count > 1)
    name +=
        '.' + std::to_string(node.columns.index + 1) + "of" + std::to_string(node.columns.count);
  return name;
}

std::vector<std::string> unreplicated_workers(const config::PipelineConfig& config) {
  std::vector<std::string> alone;
  for (const WorkerNode& node : config.workers) {
    const bool is_replaceable =
        node.role == WorkerNode::Role::replica ||
        std::any_of(config.workers.begin(), config.workers.end(), [&](const WorkerNode& other) {
          return &other != &node && overlaps(other, node) && covers(other, node);
        });
    if (!is_replaceable) alone.push_back(node.name);
  }
  return alone;
}

std::vector<std::string> worker_share_flags(const config::PipelineConfig& config,
                                            const WorkerNode& node, const std::string& device,
                                            std::size_t threads) {
  std::vector<std::string> words{"--layers", to_string(node.layers)};
  const auto add = [&words](const char* flag, const std::string& value) {
    words.insert(words.end(), {flag, value});
  };
  if (node.columns.count > 1) add("--columns", to_string(node.columns));
  add("--device", device);
  if (threads > 0) add("--threads", std::to_string(threads));
  add("--weights", config.masking.weights);
  add("--parameters", config.masking.parameters);
  if (config.tls && config.tls->enclave_name != config::Tls().enclave_name)
    add("--enclave-name", config.tls->enclave_name);
  add("--name", node.name);
  return words;
}

bool needs_authority(const config::PipelineConfig& config, const WorkerNode& node) {
  return !(config.tls && config.tls->is_ephemeral && node.ca.empty() &&
           !node.require_attestation.empty());
}

std::string absolute_text(const fs::path& path) {
  return fs::absolute(path).lexically_normal().string();
}

} // namespace talaria::exporting
