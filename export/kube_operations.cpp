// What keeps pods apart, up, watched and scaled.
#include <fmt/format.h>

#include "export/kube_plan.hpp"

namespace talaria::exporting {

namespace {

Json network_policy(const KubePlan& plan, const KubernetesOptions& options, const char* name,
                    const char* component, Json ingress, Json egress) {
  Json spec{{"podSelector", Json{{"matchLabels", labels_of(plan, component)}}},
            {"policyTypes", Json::array({"Ingress", "Egress"})}};
  spec["ingress"] = std::move(ingress);
  spec["egress"] = std::move(egress);
  return Json{{"apiVersion", "networking.k8s.io/v1"},
              {"kind", "NetworkPolicy"},
              {"metadata", metadata(plan, options, plan.name + name, component)},
              {"spec", std::move(spec)}};
}

Json tcp_port(const char* name) {
  return Json{{"protocol", "TCP"}, {"port", name}};
}

Json pods_of(const KubePlan& plan, const char* component) {
  return Json{{"podSelector", Json{{"matchLabels", labels_of(plan, component)}}}};
}

Json name_space(const std::string& name) {
  return Json{
      {"namespaceSelector", Json{{"matchLabels", Json{{"kubernetes.io/metadata.name", name}}}}}};
}

Json to_worker(const KubePlan& plan, const KubeWorker& worker) {
  Json labels = labels_of(plan, "worker");
  labels[kWorkerLabel] = worker.name;
  return Json{{"to", Json::array({Json{{"podSelector", Json{{"matchLabels", labels}}}}})},
              {"ports", Json::array({Json{{"protocol", "TCP"}, {"port", worker.port}}})}};
}

Json names_of_services() {
  return Json{{"to", Json::array({name_space("kube-system")})},
              {"ports", Json::array({Json{{"protocol", "UDP"}, {"port", 53}},
                                     Json{{"protocol", "TCP"}, {"port", 53}}})}};
}

Json disruption_budget(const KubePlan& plan, const KubernetesOptions& options,
                       const char* component) {
  return Json{
      {"apiVersion", "policy/v1"},
      {"kind", "PodDisruptionBudget"},
      {"metadata", metadata(plan, options, fmt::format("{}-{}", plan.name, component), component)},
      {"spec", Json{{"maxUnavailable", 1},
                    {"selector", Json{{"matchLabels", labels_of(plan, component)}}}}}};
}

Json pods_metric(const char* name, const char* average) {
  return Json{
      {"type", "Pods"},
      {"pods", Json{{"metric", Json{{"name", name}}},
                    {"target", Json{{"type", "AverageValue"}, {"averageValue", average}}}}}};
}

Json adapter_rule(const char* series, const char* name) {
  return Json{{"seriesQuery", fmt::format("{{__name__=\"{}\",namespace!=\"\",pod!=\"\"}}", series)},
              {"resources", Json{{"overrides", Json{{"namespace", Json{{"resource", "namespace"}}},
                                                    {"pod", Json{{"resource", "pod"}}}}}}},
              {"name", Json{{"as", name}}},
              {"metricsQuery", "sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)"}};
}

/// A certificate that cert-manager keeps in a Secret.
Json certificate(const KubePlan& plan, const KubernetesOptions& options, const std::string& name,
                 const char* component, const char* usage, const std::vector<std::string>& names) {
  Json dns = Json::array();
  for (const std::string& each : names) dns.push_back(each);
  return Json{
      {"apiVersion", "cert-manager.io/v1"},
      {"kind", "Certificate"},
      {"metadata", metadata(plan, options, name, component)},
      {"spec", Json{{"secretName", name},
                    {"commonName", names.front().substr(0, 64)},
                    {"dnsNames", dns},
                    {"usages", Json::array({"digital signature", usage})},
                    {"privateKey", Json{{"algorithm", "ECDSA"},
                                        {"size", 256},
                                        {"encoding", "PKCS8"},
                                        {"rotationPolicy", "Always"}}},
                    {"issuerRef", Json{{"name", plan.name + "-authority"}, {"kind", "Issuer"}}}}}};
}

Json issuer(const KubePlan& plan, const KubernetesOptions& options, const char* ending, Json spec) {
  return Json{{"apiVersion", "cert-manager.io/v1"},
              {"kind", "Issuer"},
              {"metadata", metadata(plan, options, plan.name + ending, "certificates")},
              {"spec", std::move(spec)}};
}

Json authority(const KubePlan& plan, const KubernetesOptions& options) {
  const std::string name = plan.name + "-authority";
  return Json{{"apiVersion", "cert-manager.io/v1"},
              {"kind", "Certificate"},
              {"metadata", metadata(plan, options, name, "certificates")},
              {"spec", Json{{"isCA", true},
                            {"secretName", name},
                            {"commonName", name},
                            {"duration", "87600h"},
                            {"privateKey", Json{{"algorithm", "ECDSA"}, {"size", 256}}},
                            {"issuerRef",
                             Json{{"name", plan.name + "-self-signed"}, {"kind", "Issuer"}}}}}};
}

} // namespace

std::vector<Json> network_objects(const KubePlan& plan, const KubernetesOptions& options) {
  const Json from_gateway = Json::array({pods_of(plan, "gateway")});
  Json worker_ports = Json::array({tcp_port("worker")});
  Json workers = network_policy(
      plan, options, "-workers", "worker",
      Json::array({Json{{"from", from_gateway}, {"ports", worker_ports}}}), Json::array());
  Json ingress =
      Json::array({Json{{"ports", Json::array({tcp_port("api")})}},
                   Json{{"from", Json::array({name_space(options.prometheus_namespace)})},
                        {"ports", Json::array({tcp_port("metrics")})}}});
  Json egress = Json::array({names_of_services()});
  for (const KubeWorker& worker : plan.workers) egress.push_back(to_worker(plan, worker));
  Json gateway =
      network_policy(plan, options, "-gateway", "gateway", std::move(ingress), std::move(egress));
  return {std::move(workers), std::move(gateway)};
}

std::vector<Json> disruption_objects(const KubePlan& plan, const KubernetesOptions& options) {
  return {disruption_budget(plan, options, "worker"), disruption_budget(plan, options, "gateway")};
}

Json service_monitor(const KubePlan& plan, const KubernetesOptions& options) {
  Json endpoint{{"port", "metrics"}, {"path", "/metrics"}, {"interval", "15s"}};
  if (plan.scheme == "HTTPS") {
    endpoint["scheme"] = "https";
    // The certificate names the API, and Prometheus asks for an address.
    endpoint["tlsConfig"] =
        Json{{"serverName", plan.hosts.front()},
             {"ca", Json{{"secret", Json{{"name", plan.api_tls}, {"key", "ca.crt"}}}}}};
  }
  return Json{{"apiVersion", "monitoring.coreos.com/v1"},
              {"kind", "ServiceMonitor"},
              {"metadata", metadata(plan, options, plan.name + "-gateway", "gateway")},
              {"spec", Json{{"selector", Json{{"matchLabels", labels_of(plan, "gateway")}}},
                            {"endpoints", Json::array({std::move(endpoint)})}}}};
}

Json autoscaler(const KubePlan& plan, const KubernetesOptions& options) {
  Json metrics = Json::array({pods_metric("vllm_num_requests_waiting", "4")});
  if (plan.watches_keys_and_values)
    metrics.push_back(pods_metric("vllm_kv_cache_usage_perc", "800m"));
  // A new gateway fetches hints first, so it is not let go for a pause.
  Json behaviour{{"scaleUp", Json{{"stabilizationWindowSeconds", 60}}},
                 {"scaleDown", Json{{"stabilizationWindowSeconds", 900}}}};
  return Json{{"apiVersion", "autoscaling/v2"},
              {"kind", "HorizontalPodAutoscaler"},
              {"metadata", metadata(plan, options, plan.name + "-gateway", "gateway")},
              {"spec", Json{{"scaleTargetRef", Json{{"apiVersion", "apps/v1"},
                                                    {"kind", "StatefulSet"},
                                                    {"name", plan.name + "-gateway"}}},
                            {"minReplicas", 1},
                            {"maxReplicas", 4},
                            {"metrics", std::move(metrics)},
                            {"behavior", std::move(behaviour)}}}};
}

Json adapter_values() {
  return Json{{"rules", Json{{"custom", Json::array({adapter_rule("vllm:num_requests_waiting",
                                                                  "vllm_num_requests_waiting"),
                                                     adapter_rule("vllm:kv_cache_usage_perc",
                                                                  "vllm_kv_cache_usage_perc")})}}}};
}

std::vector<Json> certificate_objects(const KubePlan& plan, const KubernetesOptions& options) {
  std::vector<Json> objects;
  objects.push_back(issuer(plan, options, "-self-signed", Json{{"selfSigned", Json::object()}}));
  objects.push_back(authority(plan, options));
  objects.push_back(issuer(plan, options, "-authority",
                           Json{{"ca", Json{{"secretName", plan.name + "-authority"}}}}));
  for (const KubeWorker& worker : plan.workers)
    objects.push_back(
        certificate(plan, options, worker.name + "-tls", "worker", "server auth", {worker.name}));
  objects.push_back(
      certificate(plan, options, plan.enclave_tls, "gateway", "client auth", {plan.enclave_name}));
  if (!plan.api_tls.empty())
    objects.push_back(
        certificate(plan, options, plan.api_tls, "gateway", "server auth", plan.hosts));
  return objects;
}

} // namespace talaria::exporting
