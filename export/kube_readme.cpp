#include <fmt/format.h>

#include "export/kube_plan.hpp"
#include "export/shell.hpp"

namespace talaria::exporting {

namespace {

std::string joined(const std::vector<std::string>& words, const char* between) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : between) + word;
  return out;
}

std::string tls_secret(const KubernetesOptions& options, const std::string& secret,
                       const std::string& stem) {
  return fmt::format("    kubectl -n {} create secret generic {} --from-file=tls.crt=certs/{}.pem "
                     "--from-file=tls.key=certs/{}.key --from-file=ca.crt=certs/ca.pem\n",
                     options.space, secret, stem, stem);
}

std::string certificate_section(const KubePlan& plan, const KubernetesOptions& options) {
  std::vector<std::string> names;
  for (const KubeWorker& worker : plan.workers) names.push_back(worker.name);
  std::string out =
      fmt::format("## Certificates\nOff line, on a machine of the operator, or with cert-manager "
                  "(`optional/certificates.yaml`):\n\n    talaria certs init certs --hosts {}{}\n",
                  joined(names, ","),
                  plan.enclave_name == config::Tls().enclave_name
                      ? ""
                      : " --enclave-name " + shell_word(plan.enclave_name));
  for (const KubeWorker& worker : plan.workers)
    out += tls_secret(options, worker.name + "-tls", worker.name);
  if (plan.is_ephemeral)
    out +=
        fmt::format("    kubectl -n {} create secret generic {} --from-file=ca.crt=certs/ca.pem\n",
                    options.space, plan.enclave_tls);
  else
    out += tls_secret(options, plan.enclave_tls, "enclave");
  if (!plan.api_tls.empty())
    out += fmt::format(
        "    kubectl -n {} create secret generic {} --from-file=tls.crt=api.pem "
        "--from-file=tls.key=api.key --from-file=ca.crt=api-ca.pem\n\nThe certificate of "
        "the API (`api.pem`, with its chain) names {}.\n",
        options.space, plan.api_tls, joined(plan.hosts, ", "));
  return out;
}

std::string other_objects(const KubePlan& plan, const KubernetesOptions& options,
                          const Cluster& cluster) {
  std::string out =
      fmt::format("\n## Keys of clients\n\n    talaria keys add alice --file talaria.keys\n"
                  "    kubectl -n {} create secret generic {} --from-file=talaria.keys\n\n"
                  "A changed Secret counts with the gateway's next start "
                  "(`kubectl -n {} rollout restart statefulset/{}-gateway`).\n",
                  options.space, plan.api_keys, options.space, plan.name);
  if (!plan.attestation.empty())
    out +=
        fmt::format("\n## Evidence\nThe file names a simulated platform, which proves nothing:\n\n"
                    "    kubectl -n {} create secret generic {} --from-file={}\n",
                    options.space, plan.attestation,
                    shell_word(absolute_text(cluster.config.serve.attestation->folder)));
  bool has_policies = false;
  for (std::size_t i = 0; i < plan.workers.size(); ++i) {
    if (plan.workers[i].policy.empty()) continue;
    out += has_policies ? "" : "\n## Policies of workers\n\n";
    has_policies = true;
    out += fmt::format("    kubectl -n {} create configmap {} --from-file=policy.yaml={}\n",
                       options.space, plan.workers[i].policy,
                       shell_word(cluster.config.workers[i].require_attestation.string()));
  }
  return out;
}

std::string model_line(const ModelVolume& model) {
  if (!model.image.empty()) return fmt::format("image `{}`", model.image);
  return model.claim.empty() ? "no volume" : fmt::format("claim `{}`", model.claim);
}

std::string model_section(const KubePlan& plan) {
  std::string out = "\n## Models\n| pod | volume, at `/model` | filled with |\n|---|---|---|\n";
  const auto row = [&](const std::string& pod, const ModelVolume& model) {
    out += fmt::format("| {} | {} | {} |\n", pod, model_line(model), markdown_code(model.original));
  };
  row(plan.name + "-gateway", plan.gateway_model);
  for (const KubeWorker& worker : plan.workers) row(worker.name, worker.model);
  return out +
         "\nOf a prepared model (`talaria prepare`) the gateway gets the enclave's half, and "
         "workers theirs. Set `model_sha256` in the pipeline.yaml: then it does not matter who "
         "fills the gateway's volume.\n";
}

std::string known_limits(const KubernetesOptions& options, const Cluster& cluster) {
  std::string out = "\n## To know\n";
  if (!cluster.sizes)
    out +=
        "- The model's folder was not there to look at: memory of gateway and workers is a guess. "
        "`talaria launch FILE --dry-run` computes it; set it with `--gateway-memory` and "
        "`--worker-memory`.\n";
  const auto alone = unreplicated_workers(cluster.config);
  if (!alone.empty())
    out +=
        fmt::format("- No replica has the layers of {}: while it is replaced, requests wait, up to "
                    "`faults.request_deadline`. A worker with `role: replica` ends that.\n",
                    joined(alone, ", "));
  if (options.runtime_class.empty() && options.gateway_nodes.empty())
    out +=
        "- **Nothing says that the gateway runs on confidential nodes.** Without `--runtime-class` "
        "or `--gateway-nodes` whoever runs this cluster can read its memory.\n";
  out +=
      "- Who can read Secrets here can pass for a worker, and for the API before clients that do "
      "not ask for evidence (docs/attestation.md). Masks hide prompts from workers all the same.\n"
      "- Workers come and go while it serves: a changed ConfigMap reaches the gateway within a "
      "minute or two, and it takes over the workers that the file names (docs/operations.md). "
      "Delete those that it does not name any more when its log says that they have left. A worker "
      "with `addresses: each` may be scaled: every pod of its headless Service is one more of the "
      "same.\n"
      "- Several gateways work over the same workers, which serve enclaves in turn, by the cost of "
      "what they ask. Gateways with one certificate count as one enclave. `kubectl apply` sets the "
      "gateways back to one where the autoscaler has "
      "made more: use the chart then, which leaves the number alone.\n"
      "- Processors that the file names (`cores`) are not in here: Kubernetes gives out processors "
      "(the kubelet's static CPU manager pins them, since requests equal limits).\n"
      "- `telemetry.trace` and `launch` are left out.\n";
  return out;
}

} // namespace

std::string kubernetes_readme(const KubePlan& plan, const KubernetesOptions& options,
                              const Cluster& cluster) {
  std::string out = fmt::format(
      "# {} on Kubernetes\nMade by `talaria export kubernetes` from `{}`; Kubernetes 1.30 or "
      "newer. No file here "
      "holds a secret.\n\n    kubectl apply -f namespace.yaml\n    # then what follows, and then\n"
      "    kubectl apply -k .\n    kubectl -n {} rollout status statefulset/{}-gateway --timeout "
      "1h\n\n"
      "or, in the place of the last two, `helm install {} chart --namespace {}` (with "
      "`models.yaml` "
      "applied first). The image is `{}`, for all pods.\n\n",
      plan.name, cluster.config.file.filename().string(), options.space, plan.name, plan.name,
      options.space, options.image);
  out += certificate_section(plan, options) + other_objects(plan, options, cluster) +
         model_section(plan) + known_limits(options, cluster);
  return out;
}

} // namespace talaria::exporting
