#include "export/kube_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "core/error.hpp"
#include "export/names.hpp"
#include "export/pipeline_file.hpp"

namespace talaria::exporting {

namespace {

namespace fs = std::filesystem;
using config::WorkerNode;

constexpr u64 kGiB = u64{1} << 30;
// Programs, buffers under way, and the tensors of one micro-batch, beyond what is computed.
constexpr u64 kOverhead = 4 * kGiB;
constexpr const char* kUnknownGatewayMemory = "64Gi";
constexpr const char* kUnknownWorkerMemory = "32Gi";

std::string gibibytes(u64 bytes) {
  return fmt::format("{}Gi", std::max<u64>(1, (bytes + kGiB - 1) / kGiB));
}

/// Kubernetes replaces $(NAME) in arguments, and takes $$ for $.
std::string without_expansion(const std::string& argument) {
  std::string out;
  for (const char c : argument) out += c == '$' ? "$$" : std::string(1, c);
  return out;
}

/// The model inside a container: the mount, or the file in it.
std::string path_in_container(const std::string& original) {
  const fs::path path(original);
  std::string ending = path.extension().string();
  for (char& c : ending)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  return ending == ".gguf" ? "/model/" + path.filename().string() : "/model";
}

ModelVolume model_volume(const std::string& original, const std::string& claim,
                         const std::string& image) {
  if (original.starts_with("random:")) return {"", "", original, original};
  return {image.empty() ? claim : "", image, path_in_container(original), original};
}

/// Masks made ahead (a quarter, unless said) and keys and values come on top of the hints.
std::string gateway_memory(const Cluster& cluster, const KubernetesOptions& options) {
  if (!options.gateway_memory.empty()) return options.gateway_memory;
  if (!cluster.sizes) return kUnknownGatewayMemory;
  const config::PipelineConfig& config = cluster.config;
  u64 fixed = cluster.sizes->hints + kOverhead;
  fixed += config.pipeline.kv.memory.value_or(cluster.sizes->hints / 4 + 4 * kGiB);
  return gibibytes(config.masking.memory ? fixed + *config.masking.memory : fixed / 3 * 4);
}

/// One claim for each model that workers name.
class WorkerClaims {
public:
  explicit WorkerClaims(std::string cluster) : cluster_(std::move(cluster)) {}
  std::string of(const std::string& model) {
    const auto [found, is_new] = numbers_.emplace(model, numbers_.size() + 1);
    const std::size_t number = found->second;
    return cluster_ + "-worker-model" + (number > 1 ? fmt::format("-{}", number) : "");
  }

private:
  std::string cluster_;
  std::map<std::string, std::size_t> numbers_;
};

std::vector<std::string> worker_arguments(const Cluster& cluster, const WorkerNode& node,
                                          const KubeWorker& worker) {
  std::vector<std::string> words{"--listen", fmt::format("0.0.0.0:{}", worker.port), "--model",
                                 worker.model.path};
  for (std::string& word :
       worker_share_flags(cluster.config, node, renumbered_device(node.device), worker.cpus))
    words.push_back(std::move(word));
  words.insert(words.end(),
               {"--cert", "/etc/talaria/tls/tls.crt", "--key", "/etc/talaria/tls/tls.key"});
  if (needs_authority(cluster.config, node))
    words.insert(words.end(), {"--ca", "/etc/talaria/tls/ca.crt"});
  if (!worker.policy.empty()) {
    words.insert(words.end(), {"--require-attestation", "/etc/talaria/policy/policy.yaml"});
    const auto& attestation = cluster.config.serve.attestation;
    if (attestation && attestation->platform == "simulated")
      words.emplace_back("--allow-simulated");
  }
  words.insert(words.end(), {"--progress", "none"});
  for (std::string& word : words) word = without_expansion(word);
  return words;
}

KubeWorker make_worker(const Cluster& cluster, const KubernetesOptions& options, std::size_t index,
                       WorkerClaims& claims) {
  const WorkerNode& node = cluster.config.workers[index];
  KubeWorker worker;
  worker.name = cluster.name + "-" + cluster.worker_labels[index];
  worker.port = node.address.port;
  worker.gpus = gpu_count(node.device);
  worker.cpus = node.threads > 0 ? static_cast<u32>(node.threads) : options.worker_cpus;
  worker.share = share_name(node);
  if (!options.worker_memory.empty())
    worker.memory = options.worker_memory;
  else if (cluster.sizes)
    worker.memory = gibibytes(cluster.sizes->worker_weights.at(index) / 10 * 11 + kOverhead);
  else
    worker.memory = kUnknownWorkerMemory;
  if (!node.require_attestation.empty()) worker.policy = worker.name + "-policy";
  const std::string original = config::node_files(cluster.config, node).model.string();
  worker.model = model_volume(original, "", options.worker_model_image);
  if (worker.model.path.starts_with('/') && worker.model.image.empty())
    worker.model.claim = claims.of(original);
  worker.args = worker_arguments(cluster, node, worker);
  return worker;
}

GatewayPlaces gateway_places(const Cluster& cluster, const KubePlan& plan) {
  GatewayPlaces places;
  places.model = plan.gateway_model.path;
  for (const KubeWorker& worker : plan.workers) {
    places.addresses.push_back(fmt::format("{}:{}", worker.name, worker.port));
    places.policies.push_back(worker.policy.empty() ? "" : "/etc/talaria/policy/policy.yaml");
  }
  places.ca = "/etc/talaria/tls/ca.crt";
  if (!plan.is_ephemeral) {
    places.cert = "/etc/talaria/tls/tls.crt";
    places.key = "/etc/talaria/tls/tls.key";
  }
  places.listen = fmt::format("0.0.0.0:{}", kApiPort);
  if (!plan.api_tls.empty()) {
    places.api_cert = "/etc/talaria/api/tls.crt";
    places.api_key = "/etc/talaria/api/tls.key";
  }
  places.keys = "/run/talaria/keys/talaria.keys";
  places.metrics = fmt::format("0.0.0.0:{}", kMetricsPort);
  places.hints = "/var/cache/talaria/hints";
  if (!plan.attestation.empty()) places.attestation = "/etc/talaria/attestation";
  places.hosts = plan.hosts;
  const std::size_t threads = cluster.config.pipeline.threads;
  places.threads = threads > 0 ? threads : plan.gateway_cpus;
  return places;
}

} // namespace

KubePlan make_kube_plan(const Cluster& cluster, const KubernetesOptions& options) {
  const config::PipelineConfig& config = cluster.config;
  KubePlan plan;
  plan.name = cluster.name;
  plan.gateway_memory = gateway_memory(cluster, options);
  // A cache that is full must not fill its volume.
  plan.hint_cache_size = gibibytes(config.hints.max_size + config.hints.max_size / 20);
  plan.enclave_tls = cluster.name + "-enclave-tls";
  plan.api_keys = cluster.name + "-api-keys";
  if (config.serve.insecure && !config.serve.tls)
    plan.scheme = "HTTP";
  else
    plan.api_tls = cluster.name + "-api-tls";
  if (config.serve.attestation) plan.attestation = cluster.name + "-attestation";
  plan.enclave_name = config.tls ? config.tls->enclave_name : config::Tls().enclave_name;
  plan.is_ephemeral = config.tls && config.tls->is_ephemeral;
  plan.watches_keys_and_values = config.masking.padding.buckets.empty();
  plan.gateway_cpus = config.pipeline.threads > 0 ? static_cast<u32>(config.pipeline.threads)
                                                  : options.gateway_cpus;
  plan.gateway_model = model_volume(config.model.string(), cluster.name + "-enclave-model",
                                    options.enclave_model_image);
  for (const char* ending : {"", ".{0}", ".{0}.svc"})
    plan.hosts.push_back(cluster.name + fmt::format(fmt::runtime(ending), options.space));
  WorkerClaims claims(cluster.name);
  for (std::size_t i = 0; i < config.workers.size(); ++i)
    plan.workers.push_back(make_worker(cluster, options, i, claims));
  plan.pipeline = comment_lines("From " + config.file.filename().string() +
                                    " by talaria export. Change that file and export again.",
                                "") +
                  to_yaml(pipeline_document(cluster, gateway_places(cluster, plan)));
  return plan;
}

Json labels_of(const KubePlan& plan, const char* component) {
  return Json{{kNameLabel, "talaria"}, {kInstanceLabel, plan.name}, {kComponentLabel, component}};
}

Json metadata(const KubePlan& plan, const KubernetesOptions& options, const std::string& name,
              const char* component) {
  return Json{{"name", name}, {"namespace", options.space}, {"labels", labels_of(plan, component)}};
}

} // namespace talaria::exporting
