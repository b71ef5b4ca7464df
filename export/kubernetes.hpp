#pragma once

#include <string>
#include <utility>
#include <vector>

#include "export/cluster.hpp"
#include "export/output_folder.hpp"

namespace talaria::exporting {

/// What a pipeline.yaml does not know about a Kubernetes cluster. Empty texts mean the default.
struct KubernetesOptions {
  std::string space = "talaria"; ///< the namespace: a DNS label of at most 63 characters
  std::string image;             ///< of all programs
  std::string runtime_class;     ///< of the gateway, for instance kata-qemu-snp
  std::string gpu_resource = "nvidia.com/gpu";
  std::string evidence_resource; ///< of a device plugin that gives the gateway its evidence device
  std::string enclave_model_image, worker_model_image; ///< image volumes in the place of claims
  std::string prometheus_namespace = "monitoring";
  std::string gateway_memory, worker_memory; ///< quantities, like 64Gi; empty: from the model
  u32 gateway_cpus = 16;                     ///< unless pipeline.threads says
  u32 worker_cpus = 8;                       ///< unless the worker's `threads` say
  std::vector<std::pair<std::string, std::string>> gateway_nodes, worker_nodes; ///< labels of nodes
};

/// @throws Error{usage} naming the flag of an option that Kubernetes would refuse.
void check_options(const KubernetesOptions& options);

/// Plain manifests with a kustomization.yaml, optional ones, a Helm chart of the same, and a
/// README.md that says what to do first. No secret is read or written: manifests name Secrets.
std::vector<OutputFile> kubernetes_files(const Cluster& cluster, const KubernetesOptions& options);

} // namespace talaria::exporting
