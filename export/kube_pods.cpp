// Pods: what workers and gateways have in common, and each of them.
#include <fmt/format.h>

#include <span>

#include "core/digest.hpp"
#include "export/kube_plan.hpp"

namespace talaria::exporting {

namespace {

// The gateway gives running answers 10 s, and ends itself a minute after the signal.
constexpr int kGatewayGrace = 90;
constexpr int kGatewayLeavesEndpoints = 5;
constexpr int kWorkerGrace = 30;

Json pod_security() {
  return Json{{"runAsNonRoot", true},
              {"runAsUser", kUser},
              {"runAsGroup", kUser},
              {"fsGroup", kUser},
              {"fsGroupChangePolicy", "OnRootMismatch"},
              {"seccompProfile", Json{{"type", "RuntimeDefault"}}}};
}

Json container_security() {
  return Json{{"allowPrivilegeEscalation", false},
              {"readOnlyRootFilesystem", true},
              {"capabilities", Json{{"drop", Json::array({"ALL"})}}}};
}

Json mount(const char* volume, const char* path, bool is_read_only = true) {
  Json out{{"name", volume}, {"mountPath", path}};
  if (is_read_only) out["readOnly"] = true;
  return out;
}

Json secret_volume(const char* volume, const std::string& secret) {
  return Json{{"name", volume}, {"secret", Json{{"secretName", secret}, {"defaultMode", 0440}}}};
}

void add_model(const ModelVolume& model, Json& volumes, Json& mounts) {
  if (model.claim.empty() && model.image.empty()) return;
  Json volume{{"name", "model"}};
  if (model.image.empty())
    volume["persistentVolumeClaim"] = Json{{"claimName", model.claim}, {"readOnly", true}};
  else
    volume["image"] = Json{{"reference", model.image}, {"pullPolicy", "IfNotPresent"}};
  volumes.push_back(std::move(volume));
  mounts.push_back(mount("model", "/model"));
}

Json node_selector(const std::vector<std::pair<std::string, std::string>>& wanted) {
  Json out = Json::object();
  for (const auto& [key, value] : wanted) out[key] = value;
  return out;
}

/// Copies of one thing go to different nodes, and where there are several, to different zones.
Json spread(const Json& labels) {
  Json out = Json::array();
  for (const char* key : {"kubernetes.io/hostname", "topology.kubernetes.io/zone"})
    out.push_back(Json{{"maxSkew", 1},
                       {"topologyKey", key},
                       {"whenUnsatisfiable", "ScheduleAnyway"},
                       {"labelSelector", Json{{"matchLabels", labels}}}});
  return out;
}

/// Requests equal limits: the pod is of class Guaranteed, and is the last to be evicted.
Json resources(u32 cpus, const std::string& memory, const std::string& device, u32 devices) {
  Json amounts{{"cpu", std::to_string(cpus)}, {"memory", memory}};
  if (devices > 0) amounts[device] = std::to_string(devices);
  return Json{{"requests", amounts}, {"limits", amounts}};
}

Json worker_container(const KubernetesOptions& options, const KubeWorker& worker, Json mounts) {
  const Json probe{{"tcpSocket", Json{{"port", "worker"}}}};
  Json starting = probe, alive = probe, ready = probe;
  starting["periodSeconds"] = 10; // an hour to read the weights
  starting["failureThreshold"] = 360;
  alive["periodSeconds"] = 10;
  alive["failureThreshold"] = 6;
  ready["periodSeconds"] = 5;
  Json args = Json::array();
  for (const std::string& word : worker.args) args.push_back(word);
  return Json{
      {"name", "worker"},
      {"image", options.image},
      {"command", Json::array({"/usr/bin/talaria-worker"})},
      {"args", args},
      {"ports", Json::array({Json{
                    {"name", "worker"}, {"containerPort", worker.port}, {"protocol", "TCP"}}})},
      {"resources", resources(worker.cpus, worker.memory, options.gpu_resource, worker.gpus)},
      {"startupProbe", starting},
      {"livenessProbe", alive},
      {"readinessProbe", ready},
      {"securityContext", container_security()},
      {"volumeMounts", std::move(mounts)}};
}

Json worker_pod(const KubePlan& plan, const KubernetesOptions& options, const KubeWorker& worker) {
  Json volumes = Json::array({secret_volume("tls", worker.name + "-tls")});
  Json mounts = Json::array({mount("tls", "/etc/talaria/tls")});
  add_model(worker.model, volumes, mounts);
  if (!worker.policy.empty()) {
    volumes.push_back(Json{{"name", "policy"}, {"configMap", Json{{"name", worker.policy}}}});
    mounts.push_back(mount("policy", "/etc/talaria/policy"));
  }
  Json spec{{"automountServiceAccountToken", false},
            {"enableServiceLinks", false},
            {"terminationGracePeriodSeconds", kWorkerGrace},
            {"securityContext", pod_security()}};
  if (!options.worker_nodes.empty()) spec["nodeSelector"] = node_selector(options.worker_nodes);
  if (worker.gpus > 0)
    spec["tolerations"] = Json::array(
        {Json{{"key", options.gpu_resource}, {"operator", "Exists"}, {"effect", "NoSchedule"}}});
  spec["topologySpreadConstraints"] = spread(labels_of(plan, "worker"));
  spec["containers"] = Json::array({worker_container(options, worker, std::move(mounts))});
  spec["volumes"] = std::move(volumes);
  return spec;
}

Json worker_labels(const KubePlan& plan, const KubeWorker& worker) {
  Json labels = labels_of(plan, "worker");
  labels[kWorkerLabel] = worker.name;
  labels[kShareLabel] = worker.share;
  return labels;
}

Json http_probe(const KubePlan& plan, const char* path, int period, int failures) {
  // The port of metrics: it asks for no key, and for no evidence.
  return Json{{"httpGet", Json{{"path", path}, {"port", "metrics"}, {"scheme", plan.scheme}}},
              {"periodSeconds", period},
              {"timeoutSeconds", 5},
              {"failureThreshold", failures}};
}

Json gateway_container(const KubePlan& plan, const KubernetesOptions& options, Json mounts) {
  const u32 evidence = options.evidence_resource.empty() ? 0 : 1;
  return Json{
      {"name", "gateway"},
      {"image", options.image},
      {"command", Json::array({"/usr/bin/talaria-enclave"})},
      {"args", Json::array({"serve", "/etc/talaria/pipeline/pipeline.yaml"})},
      {"env", Json::array({Json{{"name", "XDG_CACHE_HOME"}, {"value", "/var/cache/talaria"}}})},
      {"ports",
       Json::array(
           {Json{{"name", "api"}, {"containerPort", kApiPort}, {"protocol", "TCP"}},
            Json{{"name", "metrics"}, {"containerPort", kMetricsPort}, {"protocol", "TCP"}}})},
      {"resources",
       resources(plan.gateway_cpus, plan.gateway_memory, options.evidence_resource, evidence)},
      {"startupProbe", http_probe(plan, "/health", 10, 360)}, // an hour to fetch hints
      {"livenessProbe", http_probe(plan, "/health", 10, 6)},
      {"readinessProbe", http_probe(plan, "/ready", 5, 2)},
      {"lifecycle", Json{{"preStop", Json{{"sleep", Json{{"seconds", kGatewayLeavesEndpoints}}}}}}},
      {"securityContext", container_security()},
      {"volumeMounts", std::move(mounts)}};
}

/// The gateway takes keys from a file of its own user, with mode 0600, and Secrets are root's.
Json keys_container(const KubernetesOptions& options) {
  const Json amounts{{"cpu", "100m"}, {"memory", "32Mi"}};
  return Json{{"name", "keys"},
              {"image", options.image},
              {"command", Json::array({"/usr/bin/install", "-m", "0600", "/secret/talaria.keys",
                                       "/run/talaria/keys/talaria.keys"})},
              {"resources", Json{{"requests", amounts}, {"limits", amounts}}},
              {"securityContext", container_security()},
              {"volumeMounts", Json::array({mount("keys-secret", "/secret"),
                                            mount("keys", "/run/talaria/keys", false)})}};
}

Json memory_volume(const char* name, const char* size) {
  return Json{{"name", name}, {"emptyDir", Json{{"medium", "Memory"}, {"sizeLimit", size}}}};
}

void add_gateway_volumes(const KubePlan& plan, Json& volumes, Json& mounts) {
  volumes.push_back(
      Json{{"name", "pipeline"}, {"configMap", Json{{"name", plan.name + "-pipeline"}}}});
  mounts.push_back(mount("pipeline", "/etc/talaria/pipeline"));
  volumes.push_back(secret_volume("tls", plan.enclave_tls));
  mounts.push_back(mount("tls", "/etc/talaria/tls"));
  if (!plan.api_tls.empty()) {
    volumes.push_back(secret_volume("api-tls", plan.api_tls));
    mounts.push_back(mount("api-tls", "/etc/talaria/api"));
  }
  if (!plan.attestation.empty()) {
    volumes.push_back(secret_volume("attestation", plan.attestation));
    mounts.push_back(mount("attestation", "/etc/talaria/attestation"));
  }
  volumes.push_back(secret_volume("keys-secret", plan.api_keys));
  volumes.push_back(memory_volume("keys", "16Mi"));
  mounts.push_back(mount("keys", "/run/talaria/keys"));
  volumes.push_back(memory_volume("tmp", "64Mi"));
  mounts.push_back(mount("tmp", "/tmp", false));
  add_model(plan.gateway_model, volumes, mounts);
  mounts.push_back(mount("hints", "/var/cache/talaria", false));
}

Json gateway_pod(const KubePlan& plan, const KubernetesOptions& options) {
  Json volumes = Json::array(), mounts = Json::array();
  add_gateway_volumes(plan, volumes, mounts);
  Json spec{{"automountServiceAccountToken", false},
            {"enableServiceLinks", false},
            {"terminationGracePeriodSeconds", kGatewayGrace},
            {"securityContext", pod_security()}};
  if (!options.runtime_class.empty()) spec["runtimeClassName"] = options.runtime_class;
  if (!options.gateway_nodes.empty()) spec["nodeSelector"] = node_selector(options.gateway_nodes);
  spec["topologySpreadConstraints"] = spread(labels_of(plan, "gateway"));
  spec["initContainers"] = Json::array({keys_container(options)});
  spec["containers"] = Json::array({gateway_container(plan, options, std::move(mounts))});
  spec["volumes"] = std::move(volumes);
  return spec;
}

std::string digest_text(const std::string& text) {
  return to_hex(sha256({reinterpret_cast<const u8*>(text.data()), text.size()}));
}

Json gateway_set(const KubePlan& plan, const KubernetesOptions& options) {
  Json pod_metadata{
      {"labels", labels_of(plan, "gateway")},
      {"annotations", Json{{"talaria/pipeline-sha256", digest_text(plan.pipeline)},
                           {"prometheus.io/scrape", "true"},
                           {"prometheus.io/scheme", plan.scheme == "HTTP" ? "http" : "https"},
                           {"prometheus.io/port", std::to_string(kMetricsPort)},
                           {"prometheus.io/path", "/metrics"}}}};
  Json hints{
      {"metadata", Json{{"name", "hints"}, {"labels", labels_of(plan, "gateway")}}},
      {"spec", Json{{"accessModes", Json::array({"ReadWriteOnce"})},
                    {"resources", Json{{"requests", Json{{"storage", plan.hint_cache_size}}}}}}}};
  return Json{{"apiVersion", "apps/v1"},
              {"kind", "StatefulSet"},
              {"metadata", metadata(plan, options, plan.name + "-gateway", "gateway")},
              {"spec", Json{{"replicas", 1},
                            {"serviceName", plan.name + "-gateway"},
                            {"podManagementPolicy", "Parallel"},
                            {"updateStrategy", Json{{"type", "RollingUpdate"}}},
                            {"selector", Json{{"matchLabels", labels_of(plan, "gateway")}}},
                            {"template", Json{{"metadata", std::move(pod_metadata)},
                                              {"spec", gateway_pod(plan, options)}}},
                            {"volumeClaimTemplates", Json::array({std::move(hints)})}}}};
}

Json port(const char* name, int number) {
  return Json{{"name", name}, {"port", number}, {"targetPort", name}, {"protocol", "TCP"}};
}

} // namespace

std::vector<Json> worker_objects(const KubePlan& plan, const KubernetesOptions& options,
                                 const KubeWorker& worker) {
  const Json selector{{kInstanceLabel, plan.name}, {kWorkerLabel, worker.name}};
  Json own = metadata(plan, options, worker.name, "worker");
  own["labels"] = worker_labels(plan, worker);
  Json service{{"apiVersion", "v1"},
               {"kind", "Service"},
               {"metadata", own},
               {"spec", Json{{"clusterIP", "None"},
                             {"selector", selector},
                             {"ports", Json::array({port("worker", worker.port)})}}}};
  Json set{{"apiVersion", "apps/v1"},
           {"kind", "StatefulSet"},
           {"metadata", own},
           {"spec", Json{{"replicas", 1},
                         {"serviceName", worker.name},
                         {"updateStrategy", Json{{"type", "RollingUpdate"}}},
                         {"selector", Json{{"matchLabels", selector}}},
                         {"template", Json{{"metadata", Json{{"labels", own["labels"]}}},
                                           {"spec", worker_pod(plan, options, worker)}}}}}};
  return {std::move(service), std::move(set)};
}

std::vector<Json> gateway_objects(const KubePlan& plan, const KubernetesOptions& options) {
  Json map{{"apiVersion", "v1"},
           {"kind", "ConfigMap"},
           {"metadata", metadata(plan, options, plan.name + "-pipeline", "gateway")},
           {"data", Json{{"pipeline.yaml", plan.pipeline}}}};
  // Sessions stay with one gateway: it alone has their computed prompts. TLS passes through.
  Json api{{"apiVersion", "v1"},
           {"kind", "Service"},
           {"metadata", metadata(plan, options, plan.name, "gateway")},
           {"spec", Json{{"type", "ClusterIP"},
                         {"sessionAffinity", "ClientIP"},
                         {"selector", labels_of(plan, "gateway")},
                         {"ports", Json::array({port("api", kApiPort)})}}}};
  Json each{{"apiVersion", "v1"},
            {"kind", "Service"},
            {"metadata", metadata(plan, options, plan.name + "-gateway", "gateway")},
            {"spec", Json{{"clusterIP", "None"},
                          {"publishNotReadyAddresses", true},
                          {"selector", labels_of(plan, "gateway")},
                          {"ports", Json::array({port("metrics", kMetricsPort)})}}}};
  return {std::move(map), std::move(api), std::move(each), gateway_set(plan, options)};
}

} // namespace talaria::exporting
