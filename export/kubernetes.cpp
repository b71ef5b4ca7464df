#include "export/kubernetes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "core/error.hpp"
#include "export/kube_plan.hpp"
#include "export/names.hpp"

namespace talaria::exporting {

namespace {

constexpr const char* kDefaultImage = "talaria:" TALARIA_VERSION;
constexpr std::size_t kMaxSpace = 63;

bool is_one_of(char c, std::string_view accepted) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         accepted.find(c) != std::string_view::npos;
}

bool holds_only(std::string_view text, std::string_view accepted) {
  return std::all_of(text.begin(), text.end(), [&](char c) { return is_one_of(c, accepted); });
}

bool ends_are_alphanumeric(std::string_view text) {
  return is_one_of(text.front(), "") && is_one_of(text.back(), "");
}

/// A label's value, and the part of its key behind the '/'.
bool is_label_text(std::string_view text) {
  return !text.empty() && text.size() <= 63 && holds_only(text, "-_.") &&
         ends_are_alphanumeric(text);
}

/// [PREFIX/]NAME, as keys of labels and names of resources are.
bool is_qualified_name(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == text.npos) return is_label_text(text);
  const std::string_view prefix = text.substr(0, slash);
  return !prefix.empty() && prefix.size() <= 253 && holds_only(prefix, "-.") &&
         ends_are_alphanumeric(prefix) && is_label_text(text.substr(slash + 1));
}

/// What a registry takes: no blank, no quote, nothing that a shell would look at.
bool is_image(std::string_view text) {
  return !text.empty() && text.size() <= 512 && holds_only(text, "-_./:@") &&
         is_one_of(text.front(), "");
}

bool is_quantity(std::string_view text) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::string_view unit = text.substr(digits);
  return digits > 0 && digits <= 15 && text.front() != '0' &&
         (unit.empty() || unit == "Ki" || unit == "Mi" || unit == "Gi" || unit == "Ti");
}

void require(bool is_right, const char* flag, const char* expected) {
  if (!is_right) throw Error(Errc::usage, fmt::format("{}: expected {}", flag, expected));
}

void check_labels(const char* flag,
                  const std::vector<std::pair<std::string, std::string>>& labels) {
  for (const auto& [key, value] : labels)
    require(is_qualified_name(key) && (value.empty() || is_label_text(value)), flag,
            "KEY=VALUE, a label of nodes, like cloud.example/confidential=true");
}

Json name_space_object(const KubePlan& plan, const KubernetesOptions& options) {
  return Json{
      {"apiVersion", "v1"},
      {"kind", "Namespace"},
      {"metadata", Json{{"name", options.space},
                        {"labels", Json{{kNameLabel, "talaria"},
                                        {kInstanceLabel, plan.name},
                                        {"pod-security.kubernetes.io/enforce", "restricted"}}}}}};
}

Json claim(const KubePlan& plan, const KubernetesOptions& options, const std::string& name,
           const char* component) {
  return Json{{"apiVersion", "v1"},
              {"kind", "PersistentVolumeClaim"},
              {"metadata", metadata(plan, options, name, component)},
              {"spec", Json{{"accessModes", Json::array({"ReadOnlyMany"})},
                            {"resources", Json{{"requests", Json{{"storage", "500Gi"}}}}}}}};
}

std::string header(std::string_view text) {
  return comment_lines(text, "");
}

OutputFile kustomization(const std::vector<OutputFile>& files) {
  Json resources = Json::array();
  for (const OutputFile& file : files) resources.push_back(file.path);
  return {
      "kustomization.yaml",
      header(
          "kubectl apply -k . applies all of these. What is in optional/ is applied by itself.") +
          to_yaml(Json{{"apiVersion", "kustomize.config.k8s.io/v1beta1"},
                       {"kind", "Kustomization"},
                       {"resources", std::move(resources)}})};
}

std::vector<OutputFile> core_manifests(const KubePlan& plan, const KubernetesOptions& options) {
  std::vector<OutputFile> files;
  files.push_back({"namespace.yaml", to_yaml(name_space_object(plan, options))});
  const auto claims = claim_objects(plan, options);
  if (!claims.empty())
    files.push_back(
        {"models.yaml", header("Claims of the models, filled before anything starts; read by many "
                               "nodes. Set storageClassName and size, or bind them to volumes that "
                               "are there.") +
                            to_yaml_stream(claims)});
  for (const KubeWorker& worker : plan.workers)
    files.push_back(
        {"workers/" + worker.name + ".yaml",
         header("A worker: weights and its TLS key, nothing of any user. One pod, since "
                "the gateway knows each worker by its name.") +
             to_yaml_stream(worker_objects(plan, options, worker))});
  files.push_back(
      {"gateway.yaml", header("The gateway holds every secret: it belongs on confidential "
                              "nodes. TLS of clients ends in it, nowhere before.") +
                           to_yaml_stream(gateway_objects(plan, options))});
  files.push_back(
      {"network-policies.yaml",
       header(
           "Three connections and no other: clients to the gateway, the gateway to workers, "
           "Prometheus to the gateway (and the gateway's questions for names). Workers ask nobody. "
           "Clients may be anywhere; a `from:` at port api narrows that.") +
           to_yaml_stream(network_objects(plan, options))});
  files.push_back({"disruption-budgets.yaml",
                   header("One at a time: the others have its layers, if the file has replicas.") +
                       to_yaml_stream(disruption_objects(plan, options))});
  return files;
}

std::vector<OutputFile> optional_manifests(const KubePlan& plan, const KubernetesOptions& options) {
  return {
      {"optional/certificates.yaml",
       header(
           "With cert-manager, in the place of talaria certs init. The authority's key then lies "
           "in this cluster: whoever reads Secrets here can make workers and enclaves.") +
           to_yaml_stream(certificate_objects(plan, options))},
      {"optional/service-monitor.yaml",
       header("With the Prometheus operator.") + to_yaml(service_monitor(plan, options))},
      {"optional/autoscaler.yaml",
       header("Gateways by queue and by memory for keys and values. Needs prometheus-adapter with "
              "the rules of prometheus-adapter-values.yaml.") +
           to_yaml(autoscaler(plan, options))},
      {"optional/prometheus-adapter-values.yaml",
       header("Values for the chart of prometheus-adapter: metrics under names without a colon.") +
           to_yaml(adapter_values())}};
}

} // namespace

void check_options(const KubernetesOptions& options) {
  require(is_dns_label(options.space, kMaxSpace), "--namespace",
          "1 to 63 lower-case letters, digits and '-', beginning with a letter");
  require(is_dns_label(options.prometheus_namespace, kMaxSpace), "--prometheus-namespace",
          "the name of a namespace");
  require(options.image.empty() || is_image(options.image), "--image",
          "an image like registry.example/talaria:0.2.0");
  for (const std::string* image : {&options.enclave_model_image, &options.worker_model_image})
    require(image->empty() || is_image(*image), "--enclave-model-image, --worker-model-image",
            "an image like registry.example/model:1");
  require(options.runtime_class.empty() || is_dns_label(options.runtime_class, 63),
          "--runtime-class", "the name of a RuntimeClass");
  require(is_qualified_name(options.gpu_resource), "--gpu-resource",
          "a resource like nvidia.com/gpu");
  require(options.evidence_resource.empty() || is_qualified_name(options.evidence_resource),
          "--evidence-resource", "a resource of a device plugin, like devices.example/sev-guest");
  for (const std::string* memory : {&options.gateway_memory, &options.worker_memory})
    require(memory->empty() || is_quantity(*memory), "--gateway-memory, --worker-memory",
            "a quantity like 64Gi");
  require(options.gateway_cpus > 0 && options.worker_cpus > 0, "--gateway-cpus, --worker-cpus",
          "at least 1");
  check_labels("--gateway-nodes", options.gateway_nodes);
  check_labels("--worker-nodes", options.worker_nodes);
}

std::vector<Json> claim_objects(const KubePlan& plan, const KubernetesOptions& options) {
  std::vector<Json> objects;
  if (!plan.gateway_model.claim.empty())
    objects.push_back(claim(plan, options, plan.gateway_model.claim, "gateway"));
  std::vector<std::string> seen;
  for (const KubeWorker& worker : plan.workers) {
    const std::string& name = worker.model.claim;
    if (name.empty() || std::find(seen.begin(), seen.end(), name) != seen.end()) continue;
    seen.push_back(name);
    objects.push_back(claim(plan, options, name, "worker"));
  }
  return objects;
}

std::vector<OutputFile> kubernetes_files(const Cluster& cluster, const KubernetesOptions& given) {
  KubernetesOptions options = given;
  if (options.image.empty()) options.image = kDefaultImage;
  check_options(options);
  const KubePlan plan = make_kube_plan(cluster, options);
  std::vector<OutputFile> files = core_manifests(plan, options);
  files.push_back(kustomization(files));
  for (OutputFile& file : optional_manifests(plan, options)) files.push_back(std::move(file));
  for (OutputFile& file : helm_chart(plan, options)) files.push_back(std::move(file));
  files.push_back({"README.md", kubernetes_readme(plan, options, cluster)});
  return files;
}

} // namespace talaria::exporting
