// What the files of each launcher say about one cluster.
#include <boost/test/unit_test.hpp>
#include <set>

#include "core/error.hpp"
#include "export/kubernetes.hpp"
#include "export/names.hpp"
#include "export/slurm.hpp"
#include "export/systemd.hpp"
#include "tests/export/export_fixture.hpp"
#include "tests/export/read_back.hpp"

namespace talaria {

using exporting::Json;
using tests::cluster_with;

namespace {

/// Object `kind`/`name` among all plain manifests.
Json object_of(const std::vector<exporting::OutputFile>& files, const std::string& kind,
               const std::string& name) {
  for (const auto& file : files) {
    if (!tests::is_yaml(file.path)) continue;
    for (const Json& document : tests::documents_of(file.text))
      if (document.value("kind", "") == kind && document["metadata"]["name"] == name)
        return document;
  }
  BOOST_FAIL("there is no " << kind << " " << name);
  return {};
}

/// The gateway's file as the gateway will read it.
config::PipelineConfig gateway_file(const std::string& text) {
  return tests::config_elsewhere(text, "/etc/talaria/pipeline.yaml");
}

std::string unit_of(const std::vector<exporting::OutputFile>& files, const std::string& path) {
  const auto* file = tests::find_file(files, path);
  BOOST_REQUIRE_MESSAGE(file != nullptr, path);
  return file->text;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != text.npos;
}

} // namespace

BOOST_AUTO_TEST_CASE(labels_are_dns_names_and_differ) {
  const std::vector<std::string> names{
      "a", "A_b", "a-b", "a.b", "-", "9", "gateway", std::string(64, 'x'), "x..", "__"};
  const auto labels = exporting::dns_labels(names, 31, {"gateway"});
  std::set<std::string> different(labels.begin(), labels.end());
  BOOST_TEST(different.size() == names.size());
  for (const std::string& label : labels) BOOST_TEST(exporting::is_dns_label(label, 31), label);
  BOOST_TEST(labels[0] == "a");
  BOOST_TEST(labels[2] == "a-b"); // the one that needs no change keeps its name
  BOOST_TEST(labels[1] != "a-b");
  BOOST_TEST(labels[6] != "gateway");
}

BOOST_AUTO_TEST_CASE(only_clusters_that_serve_are_exported) {
  BOOST_CHECK_THROW(tests::cluster_of("model: m\nserve: { listen: 127.0.0.1:8000 }\n"), Error);
  BOOST_CHECK_THROW(tests::cluster_of("model: m\ntls: { ca: a, cert: b, key: c }\nworkers:\n"
                                      "  - { name: a, address: 10.0.0.1:7600, layers: all }\n"),
                    Error);
  const std::string entry = "  - { name: a, address: 10.0.0.1:7600, layers: all }\n";
  for (const char* name : {"A", "a_b", "-a", "a-", "1a", "abcdefghijklmnopqrstu"})
    BOOST_CHECK_THROW(
        tests::cluster_of("model: m\nserve: { listen: 127.0.0.1:8000 }\ntls: { ca: a, cert: "
                          "b, key: c }\nworkers:\n" +
                              entry,
                          name),
        Error);
}

BOOST_AUTO_TEST_CASE(workers_without_a_stand_in_are_named) {
  const auto alone = [](const std::string& entries) {
    return exporting::unreplicated_workers(cluster_with(entries).config);
  };
  const std::string halves = "  - { name: a, address: 10.0.0.1:1, layers: 0-3 }\n"
                             "  - { name: b, address: 10.0.0.2:1, layers: 4-7 }\n";
  BOOST_TEST(alone(halves) == (std::vector<std::string>{"a", "b"}));
  BOOST_TEST(alone(halves + "  - { name: c, address: 10.0.0.3:1, layers: 0-3, role: replica }\n") ==
             std::vector<std::string>{"b"});
  BOOST_TEST(alone(halves + "  - { name: c, address: 10.0.0.3:1, layers: all, role: replica }\n") ==
             std::vector<std::string>{});
}

BOOST_AUTO_TEST_CASE(a_gpu_worker_asks_for_gpus_and_counts_them_from_0) {
  const auto cluster =
      cluster_with("  - { name: a, address: 10.0.0.1:7600, layers: all, device: \"cuda:4,6\" }\n");
  const auto files = kubernetes_files(cluster, {});
  const Json pod = object_of(files, "StatefulSet", "demo-a")["spec"]["template"]["spec"];
  const Json container = pod["containers"][0];
  BOOST_TEST(container["resources"]["limits"]["nvidia.com/gpu"] == "2");
  BOOST_TEST(container["resources"]["limits"] == container["resources"]["requests"]);
  BOOST_TEST(pod["tolerations"][0]["key"] == "nvidia.com/gpu");
  const Json args = container["args"];
  const auto device = std::find(args.begin(), args.end(), Json("--device"));
  BOOST_REQUIRE(device != args.end());
  BOOST_TEST(*(device + 1) == "cuda:0,1");
  const std::string job = unit_of(slurm_files(cluster, {}), "worker-a.sbatch");
  BOOST_TEST(has(job, "#SBATCH --gpus-per-node=2\n"));
  BOOST_TEST(has(job, "--device cuda:0,1"));
  const std::string unit =
      unit_of(systemd_files(cluster, {}), "workers/x-10-0-0-1/talaria-worker-demo-a.service");
  BOOST_TEST(has(unit, "--device cuda:4,6"));
  BOOST_TEST(has(unit, "\nPrivateDevices=no\n"));
}

BOOST_AUTO_TEST_CASE(the_gateways_file_in_a_pod_is_complete_and_keeps_every_other_setting) {
  const auto cluster = cluster_with(
      "  - { name: a, address: 10.0.0.1:7600, layers: 0-3, columns: 1/2 }\n"
      "  - { name: b, address: 10.0.0.2:7601, layers: 0-3, columns: 2/2 }\n"
      "  - { name: c, address: 10.0.0.3:7602, layers: all, role: replica }\n",
      "masking: { padding: { buckets: [8, 64], pace: 50ms }, pool: { memory: 2GiB } }\n"
      "pipeline: { cores: 0-3, max_rows: 64 }\nfaults: { deadline: 7s }\nchat: { date: 2026-11-30 "
      "}\n");
  const auto files = kubernetes_files(cluster, {});
  const Json map = object_of(files, "ConfigMap", "demo-pipeline");
  const config::PipelineConfig config = gateway_file(map["data"]["pipeline.yaml"]);
  BOOST_TEST(config.model == "/model");
  BOOST_REQUIRE(config.workers.size() == 3U);
  BOOST_TEST(to_string(config.workers[1].address) == "demo-b:7601");
  BOOST_TEST(to_string(config.workers[1].columns) == "2/2");
  BOOST_TEST((config.workers[2].role == config::WorkerNode::Role::replica));
  BOOST_TEST((config.workers[0].start == config::WorkerNode::Start::never));
  BOOST_TEST(config.serve.listen.value() == "0.0.0.0:8443");
  BOOST_TEST(config.serve.tls.has_value());
  BOOST_TEST(config.serve.keys.has_value());
  BOOST_TEST(config.telemetry.metrics.value() == "0.0.0.0:9090");
  BOOST_TEST(config.masking.padding.buckets == (std::vector<u32>{8, 64}));
  BOOST_TEST(config.masking.memory.value() == std::size_t{2} << 30);
  BOOST_TEST(config.pipeline.max_rows == 64U);
  BOOST_TEST(config.pipeline.cores.empty()); // of another machine
  BOOST_TEST(config.faults.deadline.count() == 7000);
  BOOST_TEST(config.chat_date == "2026-11-30");
}

BOOST_AUTO_TEST_CASE(every_reference_of_the_manifests_is_there_and_no_secret_is) {
  const auto cluster = cluster_with(
      "  - { name: a, address: 10.0.0.1:7600, layers: all, require_attestation: p.yaml }\n");
  const auto files = kubernetes_files(cluster, {});
  std::set<std::string> claims, services;
  for (const auto& file : files) {
    if (!tests::is_yaml(file.path)) continue;
    for (const Json& document : tests::documents_of(file.text)) {
      const std::string kind = document.value("kind", "");
      BOOST_TEST(kind != "Secret", file.path);
      if (kind == "PersistentVolumeClaim") claims.insert(document["metadata"]["name"]);
      if (kind == "Service") services.insert(document["metadata"]["name"]);
    }
  }
  BOOST_TEST(claims == (std::set<std::string>{"demo-enclave-model", "demo-worker-model"}));
  BOOST_TEST(services == (std::set<std::string>{"demo", "demo-gateway", "demo-a"}));
  for (const char* name : {"demo-a", "demo-gateway"}) {
    const Json spec = object_of(files, "StatefulSet", name)["spec"];
    BOOST_TEST(services.contains(spec["serviceName"]));
    std::set<std::string> volumes;
    for (const Json& volume : spec["template"]["spec"]["volumes"]) volumes.insert(volume["name"]);
    if (spec.contains("volumeClaimTemplates")) volumes.insert("hints");
    std::set<std::string> mounted;
    for (const char* part : {"initContainers", "containers"})
      for (const Json& container : spec["template"]["spec"].value(part, Json::array()))
        for (const Json& mount : container["volumeMounts"]) mounted.insert(mount["name"]);
    BOOST_TEST(volumes == mounted);
  }
  const auto* readme = tests::find_file(files, "README.md");
  BOOST_REQUIRE(readme != nullptr);
  for (const char* name :
       {"demo-a-tls", "demo-enclave-tls", "demo-api-tls", "demo-api-keys", "demo-a-policy"})
    BOOST_TEST(has(readme->text, name), name);
}

BOOST_AUTO_TEST_CASE(three_connections_are_allowed_and_no_other) {
  const auto files =
      kubernetes_files(cluster_with("  - { name: a, address: 10.0.0.1:7600, layers: 0-3 }\n"
                                    "  - { name: b, address: 10.0.0.2:7601, layers: 4-7 }\n"),
                       {});
  const Json worker = object_of(files, "NetworkPolicy", "demo-workers")["spec"];
  BOOST_TEST(worker["egress"] == Json::array());
  BOOST_REQUIRE(worker["ingress"].size() == 1U);
  BOOST_TEST(worker["ingress"][0]["from"][0]["podSelector"]["matchLabels"]
                   ["app.kubernetes.io/component"] == "gateway");
  const Json gateway = object_of(files, "NetworkPolicy", "demo-gateway")["spec"];
  BOOST_TEST(gateway["ingress"].size() == 2U);   // clients, Prometheus
  BOOST_REQUIRE(gateway["egress"].size() == 3U); // names, and each worker at its port
  BOOST_TEST(gateway["egress"][2]["ports"][0]["port"] == 7601);
  BOOST_TEST(gateway["egress"][2]["to"][0]["podSelector"]["matchLabels"]["talaria/worker"] ==
             "demo-b");
}

BOOST_AUTO_TEST_CASE(units_open_what_they_need_and_filter_what_they_can) {
  const auto cluster = tests::cluster_of(
      "model: /home/me/model\ntls: { ca: /etc/t/ca.pem, cert: /etc/t/c.pem, key: /etc/t/c.key }\n"
      "serve: { listen: \"unix:/run/other/api.sock\" }\nhints: { cache: /data/hints }\nworkers:\n"
      "  - { name: a, address: 10.0.0.9:443, layers: all, model: /srv/w, cert: /etc/t/w.pem, key: "
      "/etc/t/w.key }\n");
  const auto files = systemd_files(cluster, {{"10.0.0.1"}, {}, "/opt/t/bin"});
  const std::string gateway = unit_of(files, "gateway/talaria-gateway-demo.service");
  BOOST_TEST(has(gateway,
                 "\nExecStart=/opt/t/bin/talaria-enclave serve /etc/talaria/demo/pipeline.yaml\n"));
  BOOST_TEST(has(gateway, "\nProtectHome=tmpfs\nBindReadOnlyPaths=/home/me/model\n"));
  BOOST_TEST(has(gateway, "\nReadWritePaths=/data/hints /run/other\n"));
  BOOST_TEST(has(gateway, "\nIPAddressDeny=any\nIPAddressAllow=localhost 10.0.0.9\n"));
  const std::string worker = unit_of(files, "workers/x-10-0-0-9/talaria-worker-demo-a.service");
  BOOST_TEST(has(worker, "\nIPAddressAllow=10.0.0.1\n"));
  BOOST_TEST(has(worker, "\nProtectHome=yes\n"));
  BOOST_TEST(has(worker, "\nAmbientCapabilities=CAP_NET_BIND_SERVICE\n"));
  BOOST_TEST(has(worker, "\nPrivateUsers=no\n"));
  BOOST_TEST(!has(worker, "10.0.0.5")); // of the shipped example
}

BOOST_AUTO_TEST_CASE(the_files_of_machines_are_read_as_the_original) {
  const auto cluster = cluster_with("  - { name: a, address: host-a:7600, layers: all }\n",
                                    "pipeline: { cores: 0-3, kv: { memory: 1GiB } }\n");
  for (const auto& [files, path] : {std::pair{systemd_files(cluster, {}), "gateway/pipeline.yaml"},
                                    std::pair{slurm_files(cluster, {}), "pipeline.yaml"},
                                    std::pair{slurm_files(cluster, {}), "pipeline.hetjob.yaml"}}) {
    const config::PipelineConfig config = gateway_file(unit_of(files, path));
    BOOST_TEST(config.model == "/srv/model");
    BOOST_TEST(config.tls->ca == "/srv/example/ca.pem");
    BOOST_TEST(config.workers[0].tls_name == "host-a");
    BOOST_TEST(config.pipeline.kv.memory.value() == std::size_t{1} << 30);
  }
}

BOOST_AUTO_TEST_CASE(options_that_a_launcher_would_refuse_are_named) {
  const auto refuses = [](auto change, const std::string& flag) {
    exporting::KubernetesOptions options;
    change(options);
    BOOST_CHECK_EXCEPTION(check_options(options), Error, [&](const Error& error) {
      return error.code() == Errc::usage && has(error.what(), flag);
    });
  };
  using Options = exporting::KubernetesOptions;
  refuses([](Options& o) { o.space = "Kube_System"; }, "--namespace");
  refuses([](Options& o) { o.image = "a b"; }, "--image");
  refuses([](Options& o) { o.runtime_class = "x/y"; }, "--runtime-class");
  refuses([](Options& o) { o.gateway_memory = "64 Gi"; }, "--gateway-memory");
  refuses([](Options& o) { o.worker_nodes = {{"a", "b c"}}; }, "--worker-nodes");
  refuses([](Options& o) { o.evidence_resource = "/x"; }, "--evidence-resource");
  refuses([](Options& o) { o.worker_cpus = 0; }, "--worker-cpus");
  const auto cluster = cluster_with("  - { name: a, address: 10.0.0.1:7600, layers: all }\n");
  exporting::SlurmOptions slurm;
  slurm.account = "a\n#SBATCH --uid=0";
  BOOST_CHECK_THROW(slurm_files(cluster, slurm), Error);
  for (const char* address : {"host", "10.0.0.0/33", "10.0.0.1\nExecStart=/x", ""})
    BOOST_CHECK_THROW(systemd_files(cluster, {{address}, {}, "/usr/bin"}), Error);
}

} // namespace talaria
