#include "cli/engine_flags.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>

#include "cli/serve_attestation.hpp"
#include "config/padding.hpp"
#include "config/scalars.hpp"
#include "core/chunk_digests.hpp"
#include "core/console.hpp"
#include "core/cores.hpp"
#include "core/locked_memory.hpp"
#include "kernels/kernel_set.hpp"
#include "model/weights/gguf.hpp"
#include "model/weights/quantized.hpp"

namespace talaria::cli {

void EngineFlags::add_to(CLI::App& command) {
  add_to_bench(command);
  model_needed_ = true;
  command.add_option("--scheme", scheme_, "lattice (default), hybrid (research: leaks) or clear");
  command.add_flag("--allow-clear", allow_clear_,
                   "permit --scheme clear: the worker sees everything");
  command.add_option("--trace", trace_, "write a Chrome trace (open it in Perfetto)");
}

void EngineFlags::add_to_bench(CLI::App& command) {
  model_needed_ = false;
  command.add_option("--config", config_file_, "pipeline.yaml to start from");
  command.add_option("--model", model_,
                     "model folder (config.json, *.safetensors, tokenizer.json) or GGUF file");
  add_pin_to(command);
  command.add_option("--parameters", parameters_,
                     "lattice parameters: S48 (default), S46, S40, S54");
  command.add_option("--weights", weights_, "int8 (default) or int16");
  command.add_option("--reply", reply_, "full (default) or switched: fewer bytes, stricter rules");
  command.add_option("--hybrid-rank", hybrid_rank_, "rank of the hybrid mask over d_in, (0, 1]");
  command
      .add_option("--padding", padding_,
                  "fill the rows of every tensor up to one of these, like 8,64,256")
      ->delimiter(',');
  command.add_option("--pad-rounds", pad_rounds_,
                     "fill the rounds of an answer up to a multiple of this");
  command.add_option("--pace", pace_, "start micro-batches at multiples of this time, like 50ms");
  command.add_flag("--oblivious", oblivious_,
                   "hide from the enclave's host which tokens are looked up and sampled");
  command.add_option("--threads", threads_,
                     "threads of enclave and embedded worker (0: all cores)");
  command.add_option(
      "--cores", cores_,
      "processors to keep to, like 0-3,8: pins threads, and memory to their NUMA node");
  command.add_option("--micro-batches", micro_batches_, "micro-batches in flight");
  command.add_option("--max-rows", max_rows_, "rows of one micro-batch");
  command.add_option("--prefill-chunk", prefill_chunk_,
                     "prompt tokens of a sequence per micro-batch");
  command.add_option("--isa", isa_, "force a SIMD target: avx512, avx2 or reference");
}

void EngineFlags::add_pin_to(CLI::App& command) {
  command.add_option("--model-sha256", model_sha256_,
                     "end unless the model is the one with this digest (see inspect, prepare)");
}

namespace {

std::chrono::milliseconds parse_pace(const std::string& text) {
  const auto pace = config::parse_duration(text);
  if (!pace || *pace > config::kLongestPace)
    throw Error(Errc::usage,
                fmt::format("--pace is not a duration up to 1min, like 50ms; got '{}'", text));
  return *pace;
}

} // namespace

config::PipelineConfig EngineFlags::resolve() const {
  config::PipelineConfig settings;
  if (!config_file_.empty()) {
    settings = config::load_pipeline_config(config_file_, ::getenv);
  } else {
    const auto from_environment = [](const char* name, std::string& value) {
      if (const char* text = std::getenv(name)) value = text;
    };
    std::string model;
    from_environment("TALARIA_MODEL", model);
    settings.model = model.empty() ? shipped_model() : std::filesystem::path(model);
    from_environment("TALARIA_SCHEME", settings.masking.scheme);
    from_environment("TALARIA_PARAMETERS", settings.masking.parameters);
    from_environment("TALARIA_WEIGHTS", settings.masking.weights);
  }
  const auto flag = [](const std::string& given, std::string& value) {
    if (!given.empty()) value = given;
  };
  if (!model_.empty()) settings.model = model_;
  if (const auto pinned = parse_model_sha256(model_sha256_)) settings.model_sha256 = pinned;
  flag(scheme_, settings.masking.scheme);
  flag(parameters_, settings.masking.parameters);
  flag(weights_, settings.masking.weights);
  flag(reply_, settings.masking.reply);
  settings.masking.hybrid_rank = hybrid_rank_.value_or(settings.masking.hybrid_rank);
  if (!padding_.empty()) settings.masking.padding.buckets = padding_;
  settings.masking.padding.rounds = pad_rounds_.value_or(settings.masking.padding.rounds);
  if (!pace_.empty()) settings.masking.padding.pace = parse_pace(pace_);
  if (oblivious_) settings.enclave.oblivious = "on";
  flag(cores_, settings.pipeline.cores);
  settings.pipeline.threads = threads_.value_or(settings.pipeline.threads);
  settings.pipeline.micro_batches = micro_batches_.value_or(settings.pipeline.micro_batches);
  settings.pipeline.max_rows = max_rows_.value_or(settings.pipeline.max_rows);
  settings.pipeline.prefill_chunk = prefill_chunk_.value_or(settings.pipeline.prefill_chunk);
  if (settings.model.empty() && model_needed_)
    throw Error(Errc::usage,
                "no model: give --model DIR, set TALARIA_MODEL, or name one in --config");
  return settings;
}

config::PipelineConfig EngineFlags::resolve_for(const std::string& target) const {
  if (target.empty()) return resolve();
  EngineFlags with_target = *this;
  const bool is_model = std::filesystem::is_directory(target) || model::names_gguf(target);
  (is_model ? with_target.model_ : with_target.config_file_) = target;
  return with_target.resolve();
}

namespace {

/// @throws Error{usage} unless low <= value <= high.
template <class T>
T in_range(T value, T low, T high, const char* flag) {
  if (!(value >= low && value <= high))
    throw Error(Errc::usage,
                fmt::format("{} must be between {} and {}; got {}", flag, low, high, value));
  return value;
}

void print_worker_line(const std::string& line) {
  print_log("talaria: {}", line);
}

/// The workers of the file as the pipeline takes them; nothing without any.
std::optional<pipeline::ClusterOptions> cluster_options(const config::PipelineConfig& settings) {
  if (settings.workers.empty()) return std::nullopt;
  pipeline::ClusterOptions cluster;
  for (const config::WorkerNode& worker : settings.workers) {
    pipeline::ClusterNode node;
    node.name = worker.name;
    node.address = {worker.host, worker.port};
    node.tls_name = worker.tls_name.empty() ? worker.host : worker.tls_name;
    node.all_layers = worker.all_layers;
    node.first_layer = worker.first_layer;
    node.last_layer = worker.last_layer;
    node.share = {worker.share - 1, worker.shares};
    node.replica = worker.role == config::WorkerNode::Role::replica;
    cluster.nodes.push_back(std::move(node));
  }
  cluster.tls = {settings.tls->ca, settings.tls->cert, settings.tls->key};
  cluster.enclave_name = settings.tls->enclave_name;
  cluster.evidence = link_evidence(settings);
  const config::Faults& faults = settings.faults;
  auto& policy = cluster.policy;
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
  cluster.ready = std::min<cluster::Milliseconds>(faults.request_deadline, settings.launch.ready);
  cluster.log = print_worker_line;
  return cluster;
}

remo::ReplyFormat reply_format(const std::string& name) {
  if (name == "full") return remo::ReplyFormat::full;
  if (name == "switched") return remo::ReplyFormat::switched;
  throw Error(Errc::usage, fmt::format("unknown reply format '{}': use full or switched", name));
}

} // namespace

pipeline::EngineOptions EngineFlags::engine_options() const {
  return engine_options(resolve());
}

pipeline::EngineOptions EngineFlags::engine_options(const config::PipelineConfig& settings) const {
  // Before anything is loaded, so that memory lies next to these processors.
  if (!settings.pipeline.cores.empty()) run_on_cores(parse_cores(settings.pipeline.cores));
  lock_process_memory(); // print_warnings() says what could not be locked
  pipeline::EngineOptions options;
  options.model_dir = settings.model;
  options.model_sha256 = settings.model_sha256;
  options.scheme.kind = remo::parse_scheme(settings.masking.scheme);
  if (options.scheme.kind == remo::SchemeKind::clear && !allow_clear_)
    throw Error(Errc::usage,
                "--scheme clear shows the worker every activation; add --allow-clear if "
                "that is what you want");
  options.scheme.parameters = &remo::lattice_parameters(settings.masking.parameters);
  options.scheme.reply = reply_format(settings.masking.reply);
  options.scheme.verify = settings.masking.integrity != "none";
  options.scheme.hybrid_rank = in_range(settings.masking.hybrid_rank, 1e-3, 1.0, "--hybrid-rank");
  options.weights = model::parse_weight_format(settings.masking.weights);
  options.threads = in_range<std::size_t>(settings.pipeline.threads, 0, 1024, "--threads");
  options.batch.micro_batches =
      in_range(settings.pipeline.micro_batches, 1U, 64U, "--micro-batches");
  options.batch.max_rows = in_range(settings.pipeline.max_rows, 1U, 65536U, "--max-rows");
  options.batch.prefill_chunk =
      in_range(settings.pipeline.prefill_chunk, 1U, 65536U, "--prefill-chunk");
  options.padding.buckets = settings.masking.padding.buckets;
  options.padding.rounds =
      in_range(settings.masking.padding.rounds, 1U, config::kMaxRounds, "--pad-rounds");
  options.padding.pace = settings.masking.padding.pace;
  pipeline::validate(options.padding, options.batch.max_rows);
  options.oblivious = settings.enclave.oblivious == "on";
  options.pool.rows_ahead = settings.masking.rows_ahead;
  options.pool.memory_bytes = settings.masking.pool_memory();
  options.pool.threads = settings.masking.pool_threads;
  options.trace = trace_;
  options.cluster = cluster_options(settings);
  if (settings.hints.use_cache)
    options.hints.folder =
        pipeline::hint_folder(settings.hints.cache ? settings.hints.cache->string() : "");
  options.hints.max_bytes = settings.hints.max_size;
  options.hints.log = print_worker_line;
  if (!isa_.empty()) kernels::set_active_kernels(kernels::select_kernels(isa_));
  return options;
}

void print_warnings(const pipeline::Engine& engine) {
  for (const std::string& warning : {engine.warning(), lock_warning()})
    if (!warning.empty()) print_log("talaria: warning: {}", warning);
}

std::filesystem::path shipped_model() {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const fs::path program = fs::read_symlink("/proc/self/exe", ignored);
  const fs::path name = fs::path("models") / "talaria-tiny";
  // build/bin/talaria -> the source tree; PREFIX/bin/talaria -> PREFIX/share/talaria.
  for (const fs::path& candidate : {name, program.parent_path() / ".." / ".." / name,
                                    program.parent_path() / ".." / "share" / "talaria" / name})
    if (fs::exists(candidate / "config.json", ignored)) return candidate.lexically_normal();
  return {};
}

std::optional<Sha256Digest> parse_model_sha256(const std::string& text) {
  if (text.empty()) return std::nullopt;
  const auto digest = parse_sha256(text);
  if (!digest)
    throw Error(Errc::usage, fmt::format("--model-sha256 takes 64 hexadecimal digits (talaria "
                                         "inspect prints them); got {} characters",
                                         text.size()));
  return digest;
}

std::vector<u32> parse_token_list(const std::string& text, const std::string& flag) {
  std::vector<u32> ids;
  std::size_t at = 0;
  while (at < text.size()) {
    if (text[at] == ',' || std::isspace(static_cast<unsigned char>(text[at])) != 0) {
      ++at;
      continue;
    }
    std::size_t end = text.find_first_of(", \t\r\n", at);
    if (end == std::string::npos) end = text.size();
    u32 id = 0;
    const auto [stop, error] = std::from_chars(text.data() + at, text.data() + end, id);
    if (error != std::errc() || stop != text.data() + end)
      throw Error(Errc::usage, fmt::format("{}: item {} is not a token id; write ids as 1,2,3",
                                           flag, ids.size() + 1));
    ids.push_back(id);
    at = end;
  }
  return ids;
}

} // namespace talaria::cli
