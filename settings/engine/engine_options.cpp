#include "settings/engine/engine_options.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.hpp"

namespace talaria::settings {

namespace {

remo::ReplyFormat reply_format(const std::string& name) {
  if (name == "full") return remo::ReplyFormat::full;
  if (name == "switched") return remo::ReplyFormat::switched;
  throw Error(Errc::usage, fmt::format("unknown reply format '{}': use full or switched", name));
}

kv::Format kv_format(const std::string& name) {
  if (name == "bf16") return kv::Format::bf16;
  return name == "int8" ? kv::Format::int8 : kv::Format::fp32; // the table takes no other
}

pipeline::ClusterNode cluster_node(const config::WorkerNode& worker) {
  pipeline::ClusterNode node;
  node.name = worker.name;
  node.address = worker.address;
  node.tls_name = worker.tls_name.empty() ? worker.address.host : worker.tls_name;
  node.layers = worker.layers;
  node.share = worker.columns;
  node.replica = worker.role == config::WorkerNode::Role::replica;
  node.each_address = worker.each_address;
  return node;
}

cluster::FaultPolicy fault_policy(const config::Faults& faults) {
  cluster::FaultPolicy policy;
  policy.deadline = faults.deadline;
  policy.request_deadline = faults.request_deadline;
  policy.retries = faults.retries;
  policy.strikes = faults.strikes;
  policy.heartbeat = faults.heartbeat;
  policy.silence = faults.silence;
  policy.reconnect_first = faults.reconnect_first;
  policy.reconnect_max = faults.reconnect_max;
  policy.quarantine = faults.quarantine;
  policy.in_flight = faults.in_flight;
  return policy;
}

/// The workers as the pipeline takes them; nothing without any.
std::optional<pipeline::ClusterOptions>
cluster_options(const config::PipelineConfig& config,
                const std::function<void(const std::string&)>& log) {
  if (config.workers.empty()) return std::nullopt;
  if (!config.tls) throw Error(Errc::config, "workers without tls: { ca, cert, key }");
  pipeline::ClusterOptions cluster;
  for (const config::WorkerNode& worker : config.workers)
    cluster.nodes.push_back(cluster_node(worker));
  cluster.tls = {config.tls->ca, config.tls->cert, config.tls->key};
  cluster.enclave_name = config.tls->enclave_name;
  cluster.policy = fault_policy(config.faults);
  cluster.ready =
      std::min<cluster::Milliseconds>(config.faults.request_deadline, config.launch.ready);
  cluster.resolve_every = config.faults.resolve;
  cluster.log = log;
  return cluster;
}

remo::SchemeOptions scheme_options(const config::Masking& masking) {
  remo::SchemeOptions scheme;
  scheme.kind = remo::parse_scheme(masking.scheme);
  scheme.parameters = &remo::lattice_parameters(masking.parameters);
  scheme.reply = reply_format(masking.reply);
  scheme.verify = masking.integrity != "none";
  scheme.hybrid_rank = masking.hybrid_rank;
  return scheme;
}

pipeline::HintSealing hint_sealing(const std::string& name, bool is_attested) {
  using enum pipeline::HintSealing;
  if (name.empty()) return is_attested ? automatic : plain;
  if (name == "owner") return owner;
  if (name == "chip") return chip;
  if (name == "none") return none;
  return name == "auto" ? automatic : plain; // the table takes no other
}

pipeline::HintCacheOptions hint_options(const config::Hints& hints, bool is_attested,
                                        const std::function<void(const std::string&)>& log) {
  pipeline::HintCacheOptions options;
  options.sealing = hint_sealing(hints.seal, is_attested);
  if (hints.use_cache)
    options.folder = pipeline::hint_folder(hints.cache ? hints.cache->string() : "");
  options.max_bytes = hints.max_size;
  options.log = log;
  return options;
}

} // namespace

std::optional<model::Task> task_of(const config::PipelineConfig& config) {
  using model::Task;
  for (const Task task : {Task::generate, Task::embed, Task::score})
    if (config.task == model::to_string(task)) return task;
  return std::nullopt; // auto: the table takes no other
}

pipeline::EngineOptions engine_options(const config::PipelineConfig& config,
                                       const std::function<void(const std::string&)>& log) {
  pipeline::EngineOptions options;
  options.model_dir = config.model;
  options.model_sha256 = config.model_sha256;
  options.task = task_of(config);
  options.scheme = scheme_options(config.masking);
  options.weights = model::parse_weight_format(config.masking.weights);
  options.threads = config.pipeline.threads;
  options.batch = {config.pipeline.micro_batches, config.pipeline.max_rows,
                   config.pipeline.prefill_chunk, config.pipeline.speculate.drafts,
                   config.pipeline.speculate_always};
  options.draft_model.folder = config.pipeline.speculate.model;
  options.padding.buckets = config.masking.padding.buckets;
  options.padding.rounds = config.masking.padding.rounds;
  options.padding.pace = config.masking.padding.pace;
  options.oblivious = config.enclave.oblivious == "on";
  options.pool.rows_ahead = config.masking.rows_ahead;
  options.pool.memory_bytes = config.masking.pool_memory();
  options.pool.threads = config.masking.pool_threads;
  options.kv.memory_bytes = config.pipeline.kv.memory.value_or(0);
  options.kv.format = kv_format(config.pipeline.kv.format);
  options.kv.prefix_cache = config.pipeline.kv.prefix_cache;
  options.kv.public_prefix = config.pipeline.kv.public_prefix.value_or("");
  options.trace = config.session.trace;
  options.cluster = cluster_options(config, log);
  options.hints = hint_options(config.hints, config.serve.attestation.has_value(), log);
  return options;
}

} // namespace talaria::settings
