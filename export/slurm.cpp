#include "export/slurm.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/address.hpp"
#include "core/error.hpp"
#include "export/machine_places.hpp"
#include "export/pipeline_file.hpp"
#include "export/shell.hpp"
#include "export/yaml_writer.hpp"

namespace talaria::exporting {

namespace {

using config::WorkerNode;

constexpr u64 kBytesOfGib = u64{1} << 30;
constexpr u64 kWorkerOverhead = 4;             ///< GiB beside the weights
constexpr const char* kSecondsToDrain = "120"; ///< running answers have 10 s, ending up to 60

/// The part that both kinds of jobs share. `keep` starts a step again as `talaria launch` would.
constexpr const char* kKeep = R"(set -euo pipefail
cd "${SLURM_SUBMIT_DIR:?expected the folder in which sbatch was called}"

# step_id NAME: of a running step; fails if there is none.
step_id() {
  squeue --steps --noheader --me --format='%i %j' |
    awk -v name="$1.$SLURM_JOB_ID" '$2 == name { print $1; found = 1; exit } END { exit !found }'
}

# keep NAME [SRUN FLAGS] COMMAND...: runs a step, and runs it again when it dies. Flags or files that
# are wrong (status 2 and 3) stay wrong. TERM ends the loop, and the step in order: srun itself would
# kill it, so the signal goes to the step.
keep() {
  local name=$1 ending=0 pause=1 child=0 is_step=1 status id
  shift
  end_in_order() {
    ending=1
    if ((!is_step)); then
      kill "$child" 2>/dev/null || true
      return
    fi
    while kill -0 "$child" 2>/dev/null; do
      if id=$(step_id "$name"); then
        scancel --signal=TERM "$id" || true
        return
      fi
      sleep 1
    done
  }
  trap end_in_order TERM
  while :; do
    is_step=1
    srun --job-name="$name.$SLURM_JOB_ID" --nodes=1 --ntasks=1 --kill-on-bad-exit=0 "$@" &
    child=$!
    status=0
    wait "$child" || status=$?
    while ((status > 128)) && kill -0 "$child" 2>/dev/null; do
      status=0
      wait "$child" || status=$?
    done
    if ((ending || status == 0 || status == 2 || status == 3)); then return "$status"; fi
    echo "$name ended with status $status; it starts again in $pause s" >&2
    is_step=0
    sleep "$pause" &
    child=$!
    wait "$child" || true
    if ((ending)); then return 0; fi
    pause=$((pause < 30 ? pause * 2 : 60))
  done
}
)";

/// Ends in order: first who answers clients, then who it asks.
constexpr const char* kDrain = R"(
requeue=0
drain() {
  trap '' TERM USR1
  for pid in "${steps[@]}"; do
    kill -TERM "$pid" 2>/dev/null || true
    ended=0
    wait "$pid" || ended=$?
    while ((ended > 128)) && kill -0 "$pid" 2>/dev/null; do # a signal has ended the wait, not the step
      ended=0
      wait "$pid" || ended=$?
    done
  done
  if ((requeue)); then scontrol requeue "$SLURM_JOB_ID"; fi
  exit 0
}
trap drain TERM               # scancel --batch --signal=TERM, or the job is preempted
trap 'requeue=1; drain' USR1  # the time is nearly over
status=0
wait "${steps[0]}" || status=$?
trap '' TERM USR1
for pid in "${steps[@]:1}"; do kill -TERM "$pid" 2>/dev/null || true; done
wait || true
exit "$status"
)";

struct Component {
  std::string partition, constraint;
  u32 cpus = 1, gpus = 0;
  u64 memory_gib = 0; ///< 0: the partition's default
  std::string node;   ///< --nodelist
};

std::string sbatch_lines(const Component& part) {
  std::string out = fmt::format("#SBATCH --nodes=1 --ntasks=1 --cpus-per-task={}\n", part.cpus);
  if (part.memory_gib > 0) out += fmt::format("#SBATCH --mem={}G\n", part.memory_gib);
  if (part.gpus > 0) out += fmt::format("#SBATCH --gpus-per-node={}\n", part.gpus);
  const auto add = [&](const char* flag, const std::string& value) {
    if (!value.empty()) out += fmt::format("#SBATCH --{}={}\n", flag, value);
  };
  add("partition", part.partition);
  add("constraint", part.constraint);
  add("nodelist", part.node);
  return out;
}

std::string job_lines(const std::string& name, const SlurmOptions& options) {
  std::string out =
      fmt::format("#!/bin/bash\n#SBATCH --job-name={}\n#SBATCH --output=%x-%j.log "
                  "--open-mode=append\n#SBATCH --requeue\n#SBATCH --signal=B:USR1@{}\n",
                  name, kSecondsToDrain);
  if (!options.account.empty()) out += fmt::format("#SBATCH --account={}\n", options.account);
  if (!options.time.empty()) out += fmt::format("#SBATCH --time={}\n", options.time);
  return out;
}

Component gateway_component(const Cluster& cluster, const SlurmOptions& options) {
  Component part{
      options.gateway_partition, options.gateway_constraint, options.gateway_cpus, 0, 0, ""};
  const std::size_t threads = cluster.config.pipeline.threads;
  if (threads > 0) part.cpus = static_cast<u32>(threads);
  return part;
}

u32 worker_cpus(const WorkerNode& node, const SlurmOptions& options) {
  return node.threads > 0 ? static_cast<u32>(node.threads) : options.worker_cpus;
}

Component worker_component(const Cluster& cluster, std::size_t index, const SlurmOptions& options) {
  const WorkerNode& node = cluster.config.workers[index];
  Component part{options.worker_partition,
                 options.worker_constraint,
                 worker_cpus(node, options),
                 gpu_count(node.device),
                 0,
                 ""};
  if (cluster.sizes) {
    const u64 weights = cluster.sizes->worker_weights.at(index);
    part.memory_gib = (weights + kBytesOfGib - 1) / kBytesOfGib + kWorkerOverhead;
  }
  return part;
}

/// The node that the file names; empty for an address, which is no name of Slurm's.
std::string slurm_node(const WorkerNode& node) {
  const std::string& host = node.address.host;
  if (is_ip_address(host) || is_loopback(host)) return "";
  return host.substr(0, host.find('.'));
}

std::string worker_step(const Cluster& cluster, std::size_t index, const SlurmOptions& options,
                        u16 port, const std::string& group) {
  const WorkerNode& node = cluster.config.workers[index];
  std::vector<std::string> words;
  if (!group.empty()) words.push_back("--het-group=" + group);
  for (std::string& word :
       worker_command(cluster, node, fmt::format("0.0.0.0:{}", port), "talaria-worker",
                      renumbered_device(node.device), worker_cpus(node, options)))
    words.push_back(std::move(word));
  return fmt::format("keep {} {} &\nsteps+=($!)\n", cluster.worker_labels[index],
                     shell_line(words));
}

std::string gateway_step(const std::string& file, const char* group) {
  return fmt::format("steps=()\nkeep gateway {}talaria-enclave serve {} &\nsteps+=($!)\n", group,
                     file);
}

/// Ports that do not meet, should Slurm put two workers on one node.
std::vector<u16> distinct_ports(const Cluster& cluster) {
  std::set<u16> taken;
  std::vector<u16> ports;
  for (const WorkerNode& node : cluster.config.workers) {
    u16 port = node.address.port;
    while (!taken.insert(port).second)
      port = port == 65535 ? u16{1024} : static_cast<u16>(port + 1);
    ports.push_back(port);
  }
  return ports;
}

std::string placeholder(std::size_t group) {
  return fmt::format("group-{}.hetjob.invalid", group);
}

std::string pipeline_text(const Cluster& cluster, GatewayPlaces places, u32 threads,
                          const char* comment) {
  places.threads = threads;
  return comment_lines(comment, "") + to_yaml(pipeline_document(cluster, places));
}

OutputFile heterogeneous_job(const Cluster& cluster, const SlurmOptions& options) {
  const std::vector<u16> ports = distinct_ports(cluster);
  const std::size_t workers = cluster.config.workers.size();
  std::string text =
      job_lines(cluster.name, options) + sbatch_lines(gateway_component(cluster, options));
  for (std::size_t i = 0; i < workers; ++i)
    text += "#SBATCH hetjob\n" + sbatch_lines(worker_component(cluster, i, options));
  text += "# Gateway (group 0) and workers, wherever Slurm puts them. If a node fails, the whole "
          "job is "
          "requeued.\n";
  text += kKeep;
  text += "\nhost_of() { scontrol show hostnames \"$1\" | head -n 1; }\n"
          "file=\"run-$SLURM_JOB_ID.yaml\"\nsed \\\n";
  for (std::size_t i = 1; i <= workers; ++i)
    text += fmt::format("  -e \"s/{}/$(host_of \"$SLURM_JOB_NODELIST_HET_GROUP_{}\")/\" \\\n",
                        placeholder(i), i);
  text += "  pipeline.hetjob.yaml >\"$file\"\n\n";
  text += gateway_step("\"$file\"", "--het-group=0 ");
  for (std::size_t i = 0; i < workers; ++i)
    text += worker_step(cluster, i, options, ports[i], std::to_string(i + 1));
  return {"cluster.sbatch", text + kDrain, true};
}

OutputFile gateway_job(const Cluster& cluster, const SlurmOptions& options) {
  return {"gateway.sbatch",
          job_lines(cluster.name + "-gateway", options) +
              sbatch_lines(gateway_component(cluster, options)) + kKeep + "\n" +
              gateway_step("pipeline.yaml", "") + kDrain,
          true};
}

OutputFile worker_job(const Cluster& cluster, std::size_t index, const SlurmOptions& options) {
  const WorkerNode& node = cluster.config.workers[index];
  const std::string& label = cluster.worker_labels[index];
  Component part = worker_component(cluster, index, options);
  part.node = slurm_node(node);
  std::string text = job_lines(cluster.name + "-" + label, options) + sbatch_lines(part);
  if (part.node.empty())
    text += "# The gateway looks for it at " + to_string(node.address) +
            ": add --nodelist with the name of that node.\n";
  text += std::string(kKeep) + "\nsteps=()\n" +
          worker_step(cluster, index, options, node.address.port, "");
  return {"worker-" + label + ".sbatch", text + kDrain, true};
}

void check_word(const char* flag, const std::string& value) {
  constexpr std::string_view kAccepted = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                         "0123456789-_.,:&|*()[]";
  if (value.find_first_not_of(kAccepted) != value.npos)
    throw Error(Errc::usage, fmt::format("{}: expected one word, as sbatch takes it", flag));
}

std::string slurm_readme(const Cluster& cluster) {
  std::string out = fmt::format(
      "# {} on Slurm\nMade by `talaria export slurm` from `{}`. Programs are looked for in PATH, "
      "files of models "
      "and certificates where the pipeline.yaml has them: on a file system that all nodes see, "
      "keys with mode "
      "0600. No file here holds a secret.\n\n"
      "**One job**, on nodes that Slurm chooses. Workers need no fixed place, since their "
      "certificates are "
      "asked for the names of the file. A step that dies is started again; a node that fails "
      "requeues the job:\n\n"
      "    sbatch cluster.sbatch\n\n"
      "**A job for each**, on the nodes that the file names. One worker can be cancelled, requeued "
      "or upgraded "
      "while the others and the gateway go on, as long as a replica has its layers:\n\n",
      cluster.name, cluster.config.file.filename().string());
  for (const std::string& label : cluster.worker_labels)
    out += fmt::format("    sbatch worker-{}.sbatch\n", label);
  out += fmt::format(
      "    sbatch gateway.sbatch\n\n"
      "- `scancel --batch --signal=TERM JOB` (JOB+0 of the heterogeneous one) ends in order: the "
      "gateway first, which gives running "
      "answers 10 s, "
      "then workers. {} s before the time limit the job does the same and is requeued.\n"
      "- `scontrol requeue JOB` stops a job as it is and starts it again.\n"
      "- GPUs are numbered from 0 in a job step; processors that the file names (`cores`) are left "
      "out, as Slurm "
      "binds steps to those it gives.\n"
      "- The gateway belongs on confidential nodes (`--gateway-partition`, "
      "`--gateway-constraint`): whoever runs "
      "any other node can read its memory.\n",
      kSecondsToDrain);
  const auto alone = unreplicated_workers(cluster.config);
  for (const std::string& name : alone)
    out += fmt::format("- No replica has the layers of {}: requests wait while it is replaced.\n",
                       name);
  if (!cluster.sizes)
    out += "- The model's folder was not there to look at: jobs ask for no memory. Add `--mem`.\n";
  return out;
}

} // namespace

std::vector<OutputFile> slurm_files(const Cluster& cluster, const SlurmOptions& options) {
  check_word("--gateway-partition", options.gateway_partition);
  check_word("--worker-partition", options.worker_partition);
  check_word("--gateway-constraint", options.gateway_constraint);
  check_word("--worker-constraint", options.worker_constraint);
  check_word("--account", options.account);
  check_word("--time", options.time);
  GatewayPlaces places = places_of_this_machine(cluster);
  places.keeps_cores = false;
  const u32 threads = gateway_component(cluster, options).cpus;
  std::vector<OutputFile> files;
  files.push_back({"pipeline.yaml", pipeline_text(cluster, places, threads,
                                                  "For gateway.sbatch, by talaria export.")});
  const std::vector<u16> ports = distinct_ports(cluster);
  for (std::size_t i = 0; i < ports.size(); ++i)
    places.addresses[i] = fmt::format("{}:{}", placeholder(i + 1), ports[i]);
  places.keeps_names = false;
  files.push_back({"pipeline.hetjob.yaml",
                   pipeline_text(cluster, places, threads,
                                 "For cluster.sbatch, which puts in the names of nodes.")});
  files.push_back(heterogeneous_job(cluster, options));
  files.push_back(gateway_job(cluster, options));
  for (std::size_t i = 0; i < cluster.config.workers.size(); ++i)
    files.push_back(worker_job(cluster, i, options));
  files.push_back({"README.md", slurm_readme(cluster)});
  return files;
}

} // namespace talaria::exporting
