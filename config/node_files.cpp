#include "config/pipeline_config.hpp"

namespace talaria::config {

NodeFiles node_files(const PipelineConfig& config, const WorkerNode& node) {
  NodeFiles files{node.program, node.model, node.cert, node.key, node.ca};
  const bool remote = node.start == WorkerNode::Start::ssh;
  if (files.model.empty()) files.model = config.model;
  if (files.program.empty() && !remote) files.program = config.launch.program;
  if (remote) {
    if (files.ca.empty()) files.ca = files.cert.parent_path() / "ca.pem";
    return files;
  }
  if (!config.tls) return files;
  const std::filesystem::path folder = config.tls->ca.parent_path();
  if (files.ca.empty()) files.ca = config.tls->ca;
  if (files.cert.empty()) files.cert = folder / (node.address.host + ".pem");
  if (files.key.empty()) files.key = folder / (node.address.host + ".key");
  return files;
}

} // namespace talaria::config
