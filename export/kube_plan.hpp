#pragma once

#include "export/kubernetes.hpp"
#include "export/yaml_writer.hpp"

namespace talaria::exporting {

inline constexpr int kApiPort = 8443;
inline constexpr int kMetricsPort = 9090;
inline constexpr int kUser = 65532; ///< nobody of the node
inline constexpr const char* kNameLabel = "app.kubernetes.io/name";
inline constexpr const char* kInstanceLabel = "app.kubernetes.io/instance";
inline constexpr const char* kComponentLabel = "app.kubernetes.io/component";
inline constexpr const char* kWorkerLabel = "talaria/worker";
inline constexpr const char* kShareLabel = "talaria/share";

/// Where a pod finds a model: a claim, or an image mounted as a volume.
struct ModelVolume {
  std::string claim; ///< its name; empty: none
  std::string image;
  std::string path;     ///< of the model in the container
  std::string original; ///< where the pipeline.yaml has it
};

/// One worker as a StatefulSet of one pod, behind a headless Service of the same name.
struct KubeWorker {
  std::string name; ///< CLUSTER-WORKER
  int port = 0;
  u32 gpus = 0;
  u32 cpus = 0;
  std::string share, memory, policy; ///< policy: a ConfigMap; empty: none
  std::vector<std::string> args;     ///< as Kubernetes takes them, `$` doubled
  ModelVolume model;
};

/// All names and figures, from which manifests and the chart's values are written alike.
struct KubePlan {
  std::string name, pipeline; ///< pipeline: the text of the gateway's file
  std::string gateway_memory, hint_cache_size;
  std::string enclave_tls, api_tls, api_keys, attestation; ///< Secrets; empty: not needed
  std::string enclave_name;     ///< that workers expect in its certificate
  std::string scheme = "HTTPS"; ///< of API and metrics
  u32 gateway_cpus = 0;
  bool is_ephemeral = false, watches_keys_and_values = true;
  ModelVolume gateway_model;
  std::vector<std::string> hosts; ///< names of the API's server
  std::vector<KubeWorker> workers;
};

KubePlan make_kube_plan(const Cluster& cluster, const KubernetesOptions& options);

Json labels_of(const KubePlan& plan, const char* component);
/// metadata of an object in the namespace.
Json metadata(const KubePlan& plan, const KubernetesOptions& options, const std::string& name,
              const char* component);

std::vector<Json> worker_objects(const KubePlan& plan, const KubernetesOptions& options,
                                 const KubeWorker& worker);
std::vector<Json> gateway_objects(const KubePlan& plan, const KubernetesOptions& options);
std::vector<Json> claim_objects(const KubePlan& plan, const KubernetesOptions& options);
std::vector<Json> network_objects(const KubePlan& plan, const KubernetesOptions& options);
std::vector<Json> disruption_objects(const KubePlan& plan, const KubernetesOptions& options);
Json service_monitor(const KubePlan& plan, const KubernetesOptions& options);
Json autoscaler(const KubePlan& plan, const KubernetesOptions& options);
Json adapter_values();
std::vector<Json> certificate_objects(const KubePlan& plan, const KubernetesOptions& options);
std::string kubernetes_readme(const KubePlan& plan, const KubernetesOptions& options,
                              const Cluster& cluster);

/// The chart: static templates, and values made from the plan.
std::vector<OutputFile> helm_chart(const KubePlan& plan, const KubernetesOptions& options);

} // namespace talaria::exporting
