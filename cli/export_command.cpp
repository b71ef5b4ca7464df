#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "cli/commands.hpp"
#include "cli/placement_table.hpp"
#include "cli/small_file.hpp"
#include "core/console.hpp"
#include "core/error.hpp"
#include "export/kubernetes.hpp"
#include "export/slurm.hpp"
#include "export/systemd.hpp"
#include "model/weights/plan_file.hpp"
#include "settings/protection.hpp"
#include "settings/resolve.hpp"

namespace talaria::cli {

namespace {

namespace fs = std::filesystem;

/// What all targets take.
struct ExportFlags {
  std::string file, folder, name;
  bool force = false;
  bool json = false;
};

struct KubernetesFlags : ExportFlags {
  exporting::KubernetesOptions options;
  std::vector<std::string> gateway_nodes, worker_nodes;
};

struct SlurmFlags : ExportFlags {
  exporting::SlurmOptions options;
};

struct SystemdFlags : ExportFlags {
  exporting::SystemdOptions options;
};

/// Nothing where the model lies on another machine, as it may.
std::optional<exporting::ModelSizes> model_sizes(const config::PipelineConfig& config) {
  std::error_code ignored;
  if (!fs::exists(config.model, ignored)) return std::nullopt;
  const PlacementTable table = placement_table(config, model::load_model_plan(config.model));
  exporting::ModelSizes sizes;
  sizes.hints = table.hint_bytes;
  for (const PlacementRow& row : table.rows) sizes.worker_weights.push_back(row.weight_bytes);
  return sizes;
}

/// The file alone: what this shell's environment says holds for this machine.
exporting::Cluster read_cluster(const ExportFlags& flags) {
  const std::string text = read_small_file(flags.file, "a pipeline file");
  const config::PipelineConfig config =
      settings::resolve({flags.file, text, {}, {}, /*files_elsewhere=*/true}).config;
  settings::require_protection(config, {});
  exporting::Cluster cluster = exporting::make_cluster(config, text, flags.name);
  cluster.sizes = model_sizes(config);
  return cluster;
}

int write_files(const ExportFlags& flags, const std::vector<exporting::OutputFile>& files) {
  exporting::write_output(flags.folder, files, flags.force);
  if (flags.json) {
    auto paths = nlohmann::json::array();
    for (const auto& file : files) paths.push_back(file.path);
    print_out("{}\n", nlohmann::json{{"folder", flags.folder}, {"files", std::move(paths)}}.dump(
                          -1, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    print_out("{}: {} files; README.md says what comes first\n", flags.folder, files.size());
  }
  return 0;
}

std::vector<std::pair<std::string, std::string>> labels(const char* flag,
                                                        const std::vector<std::string>& words) {
  std::vector<std::pair<std::string, std::string>> out;
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    if (equals == word.npos)
      throw Error(Errc::usage, fmt::format("{}: expected KEY=VALUE, a label of nodes", flag));
    out.emplace_back(word.substr(0, equals), word.substr(equals + 1));
  }
  return out;
}

int export_kubernetes(const KubernetesFlags& flags) {
  exporting::KubernetesOptions options = flags.options;
  options.gateway_nodes = labels("--gateway-nodes", flags.gateway_nodes);
  options.worker_nodes = labels("--worker-nodes", flags.worker_nodes);
  return write_files(flags, exporting::kubernetes_files(read_cluster(flags), options));
}

void add_common_flags(CLI::App& command, ExportFlags& flags) {
  command.add_option("FILE", flags.file, "pipeline.yaml")->required();
  command.add_option("-o,--output", flags.folder, "a folder to be made")->required();
  command.add_flag("--force", flags.force, "replace a folder that an earlier export made");
  command.add_option(
      "--name", flags.name,
      "name of the cluster: up to 20 lower-case letters, digits and '-' (default: made "
      "of the file's name)");
  command.add_flag("--json", flags.json, "print one JSON object");
}

void add_kubernetes_flags(CLI::App& command, KubernetesFlags& flags) {
  exporting::KubernetesOptions& options = flags.options;
  command.add_option("--namespace", options.space, "namespace (default talaria)");
  command.add_option("--image", options.image, "image of all programs (default talaria:VERSION)");
  command.add_option("--runtime-class", options.runtime_class,
                     "RuntimeClass of the gateway, like kata-qemu-snp");
  command.add_option("--gateway-nodes", flags.gateway_nodes,
                     "KEY=VALUE, a label of the confidential nodes; may be given again");
  command.add_option("--worker-nodes", flags.worker_nodes, "KEY=VALUE, the same for workers");
  command.add_option("--evidence-resource", options.evidence_resource,
                     "resource of a device plugin that gives the gateway its evidence device");
  command.add_option("--gpu-resource", options.gpu_resource,
                     "resource of GPUs (default nvidia.com/gpu)");
  command.add_option("--enclave-model-image", options.enclave_model_image,
                     "mount the gateway's model from this image, not from a claim");
  command.add_option("--worker-model-image", options.worker_model_image, "the same for workers");
  command.add_option("--prometheus-namespace", options.prometheus_namespace,
                     "who may read metrics (default monitoring)");
  command.add_option("--gateway-memory", options.gateway_memory,
                     "like 64Gi (default: computed if the model is here)");
  command.add_option("--worker-memory", options.worker_memory, "the same for each worker");
  command.add_option("--gateway-cpus", options.gateway_cpus,
                     "processors, unless pipeline.threads says (default 16)");
  command.add_option("--worker-cpus", options.worker_cpus,
                     "processors, unless the worker's threads say (default 8)");
}

void add_slurm_flags(CLI::App& command, exporting::SlurmOptions& options) {
  command.add_option("--gateway-partition", options.gateway_partition, "partition of the gateway");
  command.add_option("--worker-partition", options.worker_partition, "partition of workers");
  command.add_option("--gateway-constraint", options.gateway_constraint,
                     "features of confidential nodes");
  command.add_option("--worker-constraint", options.worker_constraint,
                     "features of workers' nodes");
  command.add_option("--account", options.account, "account of the jobs");
  command.add_option("--time", options.time, "their time limit, like 7-00:00:00");
  command.add_option("--gateway-cpus", options.gateway_cpus,
                     "processors, unless pipeline.threads says (default 16)");
  command.add_option("--worker-cpus", options.worker_cpus,
                     "processors, unless the worker's threads say (default 8)");
}

void add_systemd_flags(CLI::App& command, exporting::SystemdOptions& options) {
  command.add_option("--gateway-address", options.gateway_addresses,
                     "IP address or prefix that workers talk to, and no other; may be given again");
  command.add_option("--client-address", options.client_addresses,
                     "the same of clients and Prometheus, for the gateway");
  command.add_option("--bin", options.bin, "folder of the programs (default /usr/bin)");
}

} // namespace

void add_export_command(CLI::App& app, Action& chosen) {
  CLI::App* all = app.add_subcommand(
      "export", "Write a cluster as files for Kubernetes, Slurm or systemd; start nothing");
  all->require_subcommand(1);
  auto kubernetes = std::make_shared<KubernetesFlags>();
  CLI::App* command = all->add_subcommand("kubernetes", "Manifests and a Helm chart");
  add_common_flags(*command, *kubernetes);
  add_kubernetes_flags(*command, *kubernetes);
  command->callback([kubernetes, &chosen] {
    chosen = [kubernetes](InterruptWatch&) { return export_kubernetes(*kubernetes); };
  });
  auto slurm = std::make_shared<SlurmFlags>();
  command = all->add_subcommand("slurm", "Scripts for sbatch");
  add_common_flags(*command, *slurm);
  add_slurm_flags(*command, slurm->options);
  command->callback([slurm, &chosen] {
    chosen = [slurm](InterruptWatch&) {
      return write_files(*slurm, exporting::slurm_files(read_cluster(*slurm), slurm->options));
    };
  });
  auto systemd = std::make_shared<SystemdFlags>();
  command = all->add_subcommand("systemd", "Sandboxed units for each machine");
  add_common_flags(*command, *systemd);
  add_systemd_flags(*command, systemd->options);
  command->callback([systemd, &chosen] {
    chosen = [systemd](InterruptWatch&) {
      return write_files(*systemd,
                         exporting::systemd_files(read_cluster(*systemd), systemd->options));
    };
  });
}

} // namespace talaria::cli
