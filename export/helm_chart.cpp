#include <fmt/format.h>

#include "export/assets.hpp"
#include "export/kube_plan.hpp"

namespace talaria::exporting {

namespace {

/// "registry.example:5000/talaria:0.2.0" to repository and tag; a digest stays with the repository.
std::pair<std::string, std::string> image_parts(const std::string& image) {
  const std::size_t colon = image.rfind(':');
  const bool is_tag =
      colon != image.npos && image.find('/', colon) == image.npos && image.find('@') == image.npos;
  if (!is_tag) return {image, ""};
  return {image.substr(0, colon), image.substr(colon + 1)};
}

Json label_object(const std::vector<std::pair<std::string, std::string>>& labels) {
  Json out = Json::object();
  for (const auto& [key, value] : labels) out[key] = value;
  return out;
}

Json model_values(const ModelVolume& model) {
  return Json{{"claim", model.claim}, {"image", model.image}};
}

Json worker_values(const KubePlan& plan) {
  Json list = Json::array();
  for (const KubeWorker& worker : plan.workers) {
    Json args = Json::array();
    for (const std::string& word : worker.args) args.push_back(word);
    Json values{{"name", worker.name},    {"port", worker.port}, {"share", worker.share},
                {"gpus", worker.gpus},    {"cpus", worker.cpus}, {"memory", worker.memory},
                {"policy", worker.policy}};
    values["model"] = model_values(worker.model);
    values["args"] = std::move(args);
    list.push_back(std::move(values));
  }
  return list;
}

Json gateway_values(const KubePlan& plan, const KubernetesOptions& options) {
  Json values{{"replicas", 1}, {"scheme", plan.scheme}};
  values["#1"] = "Confidential nodes: a runtime class that starts pods in confidential VMs, or a "
                 "selector of nodes that are ones.";
  values["runtimeClassName"] = options.runtime_class;
  values["nodeSelector"] = label_object(options.gateway_nodes);
  values["tolerations"] = Json::array();
  values["#2"] = "The resource of a device plugin that hands out /dev/sev-guest or /dev/tdx_guest.";
  values["evidenceResource"] = options.evidence_resource;
  values["cpus"] = plan.gateway_cpus;
  values["memory"] = plan.gateway_memory;
  values["model"] = model_values(plan.gateway_model);
  values["hintCache"] = Json{{"size", plan.hint_cache_size}, {"storageClassName", ""}};
  values["service"] = Json{{"type", "ClusterIP"}, {"annotations", Json::object()}};
  values["#3"] = "Names of Secrets, made before the chart is installed.";
  values["secrets"] = Json{{"enclaveTls", plan.enclave_tls},
                           {"apiTls", plan.api_tls},
                           {"apiKeys", plan.api_keys},
                           {"attestation", plan.attestation}};
  return values;
}

Json chart_values(const KubePlan& plan, const KubernetesOptions& options) {
  const auto [repository, tag] = image_parts(options.image);
  Json values = Json::object();
  values["#1"] =
      "Made by talaria export, and checked by values.schema.json. Names of workers stand in "
      "the pipeline as well: change the pipeline.yaml and export again.";
  values["name"] = plan.name;
  values["image"] = Json{{"repository", repository}, {"tag", tag}, {"pullPolicy", "IfNotPresent"}};
  values["imagePullSecrets"] = Json::array();
  values["pipeline"] = plan.pipeline;
  values["gateway"] = gateway_values(plan, options);
  values["workerDefaults"] = Json{{"gpuResource", options.gpu_resource},
                                  {"nodeSelector", label_object(options.worker_nodes)}};
  values["workers"] = worker_values(plan);
  values["#2"] = "clients: peers of a NetworkPolicy that may ask; none: anybody.";
  values["networkPolicy"] = Json{{"enabled", true},
                                 {"clients", Json::array()},
                                 {"prometheusNamespace", options.prometheus_namespace}};
  values["#3"] = "Needs prometheus-adapter (optional/prometheus-adapter-values.yaml).";
  values["autoscaling"] = Json{{"enabled", false},
                               {"minReplicas", 1},
                               {"maxReplicas", 4},
                               {"waitingRequests", "4"},
                               {"keysAndValues", plan.watches_keys_and_values ? "800m" : ""}};
  values["serviceMonitor"] = Json{{"enabled", false}};
  return values;
}

} // namespace

std::vector<OutputFile> helm_chart(const KubePlan& plan, const KubernetesOptions& options) {
  const Json chart{{"apiVersion", "v2"},
                   {"name", plan.name},
                   {"description", "Talaria: workers and the confidential gateway before them"},
                   {"type", "application"},
                   {"version", TALARIA_VERSION},
                   {"appVersion", TALARIA_VERSION},
                   {"kubeVersion", ">=1.30.0-0"}};
  std::vector<OutputFile> files{{"chart/Chart.yaml", to_yaml(chart)},
                                {"chart/values.yaml", to_yaml(chart_values(plan, options))}};
  for (const Asset& asset : chart_assets())
    files.push_back({std::string("chart/") + asset.path, std::string(asset.text)});
  return files;
}

} // namespace talaria::exporting
