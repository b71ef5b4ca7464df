#include "export/machine_places.hpp"

namespace talaria::exporting {

namespace {

using config::WorkerNode;

std::optional<std::string> absolute_or_none(const std::optional<std::filesystem::path>& path) {
  return path ? std::optional(absolute_text(*path)) : std::nullopt;
}

} // namespace

GatewayPlaces places_of_this_machine(const Cluster& cluster) {
  const config::PipelineConfig& config = cluster.config;
  GatewayPlaces places;
  places.model = absolute_text(config.model);
  for (const WorkerNode& node : config.workers) {
    places.addresses.push_back(to_string(node.address));
    places.tls_names.push_back(node.tls_name.empty() ? node.address.host : node.tls_name);
    places.policies.push_back(node.require_attestation.string());
  }
  if (config.tls) {
    places.ca = absolute_text(config.tls->ca);
    if (!config.tls->is_ephemeral) {
      places.cert = absolute_text(config.tls->cert);
      places.key = absolute_text(config.tls->key);
    }
  }
  places.listen = config.serve.listen.value_or(config::kDefaultListen);
  if (config.serve.tls) {
    places.api_cert = absolute_text(config.serve.tls->cert);
    places.api_key = absolute_text(config.serve.tls->key);
  }
  places.keys = absolute_or_none(config.serve.keys);
  places.metrics = config.telemetry.metrics;
  places.trace = absolute_or_none(config.telemetry.trace);
  places.hints = absolute_or_none(config.hints.cache);
  if (config.serve.attestation)
    places.attestation = absolute_text(config.serve.attestation->folder);
  places.keeps_cores = true;
  return places;
}

std::string worker_path(const WorkerNode& node, const std::filesystem::path& path) {
  const std::string text = path.string();
  const bool is_here = node.start != WorkerNode::Start::ssh && !text.starts_with("random:");
  return is_here ? absolute_text(path) : text;
}

std::vector<std::string> worker_command(const Cluster& cluster, const WorkerNode& node,
                                        const std::string& listen, const std::string& program,
                                        const std::string& device, std::size_t threads) {
  const config::NodeFiles files = config::node_files(cluster.config, node);
  std::vector<std::string> words{program, "--listen", listen, "--model",
                                 worker_path(node, files.model)};
  for (std::string& word : worker_share_flags(cluster.config, node, device, threads))
    words.push_back(std::move(word));
  words.insert(words.end(),
               {"--cert", worker_path(node, files.cert), "--key", worker_path(node, files.key)});
  if (needs_authority(cluster.config, node))
    words.insert(words.end(), {"--ca", worker_path(node, files.ca)});
  if (!node.require_attestation.empty()) {
    words.insert(words.end(),
                 {"--require-attestation", worker_path(node, node.require_attestation)});
    const auto& attestation = cluster.config.serve.attestation;
    if (attestation && attestation->platform == "simulated")
      words.emplace_back("--allow-simulated");
  }
  words.insert(words.end(), {"--progress", "none"});
  return words;
}

} // namespace talaria::exporting
