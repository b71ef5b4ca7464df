#include "config/pipeline_config.hpp"

#include <algorithm>
#include <fstream>
#include <system_error>

#include <fmt/format.h>

#include "config/fields.hpp"
#include "config/operation.hpp"
#include "config/padding.hpp"
#include "config/placement.hpp"
#include "config/scalars.hpp"
#include "config/serve.hpp"
#include "core/chunk_digests.hpp"
#include "core/error.hpp"
#include "core/machine_memory.hpp"
#include "remo/public/parameters.hpp"

namespace talaria::config {
namespace {

namespace fs = std::filesystem;
using Environment = std::function<const char*(const char*)>;

// One byte more than parse_yaml accepts, so that it sees a file that is too large.
constexpr std::streamsize kReadBytes = (std::streamsize{1} << 20) + 1;

std::vector<std::string_view> schemes() {
  return {"lattice", "hybrid", "clear"};
}
std::vector<std::string_view> weight_types() {
  return {"int8", "int16"};
}
std::vector<std::string_view> parameter_names() {
  std::vector<std::string_view> names;
  for (const auto& set : remo::kAcceptedParameters) names.push_back(set.name);
  return names;
}

constexpr u64 kMaxThreads = 1024;

/// The file being read, and what its checks need to remember.
struct Reading {
  PipelineConfig config;
  fs::path folder; ///< what relative paths are relative to
  Problems problems;
  bool model_is_overridden = false;
};

ReadValue masking_in(Masking& out, std::optional<Position>& buckets_at) {
  return [&out, &buckets_at](const Value& value) {
    const ReadValue pool = [&out](const Value& item) {
      read_mapping(item, {{"rows_ahead", whole_in(out.rows_ahead, 0, u64{1} << 20)},
                          {"memory", bytes_or_auto_in(out.memory)},
                          {"threads", whole_in(out.pool_threads, 0, 64)}});
    };
    const ReadValue hybrid = [&out](const Value& item) {
      read_mapping(item, {{"rank_ratio", ratio_in(out.hybrid_rank)}});
    };
    read_mapping(value, {{"scheme", one_of(out.scheme, schemes())},
                         {"parameters", one_of(out.parameters, parameter_names())},
                         {"weights", one_of(out.weights, weight_types())},
                         {"reply", one_of(out.reply, {"full", "switched"})},
                         {"integrity", one_of(out.integrity, {"freivalds", "none"})},
                         {"pool", pool},
                         {"hybrid", hybrid},
                         {"padding", padding_in(out.padding, buckets_at)}});
  };
}

ReadValue enclave_in(Enclave& out) {
  return [&out](const Value& value) {
    read_mapping(value, {{"oblivious", one_of(out.oblivious, {"off", "on"})}});
  };
}

ReadValue pipeline_in(Pipeline& out) {
  return [&out](const Value& value) {
    read_mapping(value, {{"micro_batches", whole_in(out.micro_batches, 1, 64)},
                         {"max_rows", whole_in(out.max_rows, 1, 65536)},
                         {"prefill_chunk", whole_in(out.prefill_chunk, 1, 65536)},
                         {"threads", whole_in(out.threads, 0, kMaxThreads)},
                         {"cores", text_in(out.cores, is_core_list, kCoreList)}});
  };
}

ReadValue readable_file_in(fs::path& out, const fs::path& folder) {
  return [&out, &folder](const Value& value) {
    path_in(out, folder)(value);
    if (out.empty()) return;
    std::error_code ignored;
    if (!fs::is_regular_file(out, ignored) || !std::ifstream(out).is_open())
      value.refuse(fmt::format("{} cannot be read; expected a PEM file (talaria certs init "
                               "makes them)",
                               in_quotes(out.string())));
  };
}

void check_identity(const Value& value, const Tls& tls) {
  if (value.node.kind != YamlNode::Kind::mapping) return;
  const std::pair<const char*, const fs::path*> files[] = {{"cert", &tls.cert}, {"key", &tls.key}};
  for (const auto& [name, file] : files) {
    bool is_there = false;
    for (std::size_t i = 0; i + 1 < value.node.items.size(); i += 2)
      is_there = is_there || value.node.items[i].text == name;
    const std::string key = fmt::format("{}.{}", value.key, name);
    if (!tls.is_ephemeral && !is_there)
      value.problems.add(value.at, key, "missing; it is required unless identity: ephemeral");
    if (tls.is_ephemeral && is_there)
      value.problems.add(value.at, key,
                         "has no place beside identity: ephemeral, which makes one "
                         "at each start");
  }
}

ReadValue tls_in(std::optional<Tls>& out, const fs::path& folder) {
  return [&out, &folder](const Value& value) {
    Tls& tls = out.emplace();
    std::string identity = "files";
    read_mapping(value, {{"ca", readable_file_in(tls.ca, folder), Presence::required},
                         {"cert", readable_file_in(tls.cert, folder)},
                         {"key", readable_file_in(tls.key, folder)},
                         {"enclave_name",
                          text_in(tls.enclave_name, is_host_name, "the name in the certificate")},
                         {"identity", one_of(identity, {"files", "ephemeral"})}});
    tls.is_ephemeral = identity == "ephemeral";
    check_identity(value, tls);
  };
}

ReadValue trace_folder_in(std::optional<fs::path>& out, const fs::path& folder) {
  return [&out, &folder](const Value& value) {
    fs::path path;
    path_in(path, folder)(value);
    if (path.empty()) return;
    std::error_code ignored;
    if (fs::exists(path, ignored) && !fs::is_directory(path, ignored))
      value.refuse(fmt::format("{} is a file; expected a folder", in_quotes(path.string())));
    out = std::move(path);
  };
}

ReadValue telemetry_in(Telemetry& out, const fs::path& folder,
                       std::optional<Position>& metrics_at) {
  return [&out, &folder, &metrics_at](const Value& value) {
    const ReadValue metrics = [&](const Value& item) {
      metrics_at = item.at;
      listen_address_in(out.metrics)(item);
    };
    read_mapping(value, {{"metrics", metrics}, {"trace", trace_folder_in(out.trace, folder)}});
  };
}

ReadValue model_in(fs::path& out, const fs::path& folder, bool must_exist) {
  return [&out, &folder, must_exist](const Value& value) {
    fs::path path;
    path_in(path, folder)(value);
    std::error_code ignored;
    if (path.empty()) return;
    if (must_exist && !fs::is_directory(path, ignored) && !fs::is_regular_file(path, ignored))
      value.refuse(fmt::format("{} is not there; expected a model folder or a GGUF file",
                               in_quotes(path.string())));
    out = std::move(path);
  };
}

bool is_chat_date(std::string_view text) {
  if (text == "today") return true;
  static constexpr std::string_view shape = "0000-00-00";
  return text.size() == shape.size() &&
         std::equal(text.begin(), text.end(), shape.begin(), [](char c, char like) {
           return like == '-' ? c == '-' : c >= '0' && c <= '9';
         });
}

ReadValue chat_in(std::string& date) {
  return [&date](const Value& value) {
    read_mapping(value,
                 {{"date", text_in(date, is_chat_date, "a date like 2026-11-30, or today")}});
  };
}

ReadValue sha256_in(std::optional<Sha256Digest>& out) {
  return [&out](const Value& value) {
    static constexpr const char* kExpected = "64 hexadecimal digits (talaria inspect prints them)";
    const auto text = scalar_text(value, kExpected);
    if (!text) return;
    const auto digest = parse_sha256(*text);
    if (!digest) return value.expected(kExpected);
    out = digest;
  };
}

void read_file(Reading& reading, const YamlNode& root) {
  PipelineConfig& config = reading.config;
  const fs::path& folder = reading.folder;
  std::optional<Position> workers_at;
  std::optional<Position> buckets_at;
  std::optional<Position> metrics_at;
  const ReadValue workers = [&](const Value& value) {
    workers_at = value.at;
    config.workers = read_workers(value, folder);
  };
  const Value value{root, "", {1, 1}, reading.problems};
  read_mapping(value, {{"model", model_in(config.model, folder, !reading.model_is_overridden),
                        reading.model_is_overridden ? Presence::optional : Presence::required},
                       {"model_sha256", sha256_in(config.model_sha256)},
                       {"masking", masking_in(config.masking, buckets_at)},
                       {"enclave", enclave_in(config.enclave)},
                       {"pipeline", pipeline_in(config.pipeline)},
                       {"workers", workers},
                       {"tls", tls_in(config.tls, folder)},
                       {"serve", serve_in(config.serve, folder)},
                       {"chat", chat_in(config.chat_date)},
                       {"telemetry", telemetry_in(config.telemetry, folder, metrics_at)},
                       {"faults", faults_in(config.faults)},
                       {"hints", hints_in(config.hints, folder)},
                       {"launch", launch_in(config.launch, folder)}});
  check_buckets(config.masking.padding, buckets_at, config.pipeline.max_rows, reading.problems);
  check_metrics(config, metrics_at, reading.problems);
  if (!config.workers.empty() && !config.tls)
    reading.problems.add(*workers_at, "workers",
                         "no tls; expected tls: { ca, cert, key } with workers");
}

const char* variable(const Environment& environment, const char* name) {
  const char* text = environment ? environment(name) : nullptr;
  return text != nullptr && *text != '\0' ? text : nullptr;
}

/// The environment of a process is set by more people than its file is: it may name other files and
/// stronger protection, never weaker protection.
void check_not_weakened(Reading& reading, const Masking& file) {
  const auto refuse = [&](std::string_view variable, const std::string& value,
                          const std::string& of_file) {
    reading.problems.add({}, variable,
                         fmt::format("is {}, which protects less than {} of the file; unset it, or "
                                     "change the file",
                                     in_quotes(value), in_quotes(of_file)));
  };
  const Masking& now = reading.config.masking;
  const auto names = schemes(); // the strongest first
  const auto place = [&](const std::string& scheme) {
    return std::find(names.begin(), names.end(), scheme) - names.begin();
  };
  if (place(now.scheme) > place(file.scheme)) refuse("TALARIA_SCHEME", now.scheme, file.scheme);
  const auto bits = [](const std::string& name) {
    return remo::lattice_parameters(name).quantum_core_svp_bits;
  };
  if (bits(now.parameters) < bits(file.parameters))
    refuse("TALARIA_PARAMETERS", now.parameters, file.parameters);
}

void apply_environment(Reading& reading, const Environment& environment) {
  PipelineConfig& config = reading.config;
  const Masking of_file = config.masking;
  const fs::path current; // what a shell means by a relative path
  const Field fields[] = {
      {"TALARIA_MODEL", model_in(config.model, current, true)},
      {"TALARIA_SCHEME", one_of(config.masking.scheme, schemes())},
      {"TALARIA_PARAMETERS", one_of(config.masking.parameters, parameter_names())},
      {"TALARIA_WEIGHTS", one_of(config.masking.weights, weight_types())},
      {"TALARIA_THREADS", whole_in(config.pipeline.threads, 0, kMaxThreads)}};
  for (const Field& field : fields) {
    const std::string name(field.key);
    const char* text = variable(environment, name.c_str());
    if (text == nullptr) continue;
    const YamlNode node{YamlNode::Kind::scalar, {}, text, false, {}};
    field.read({node, name, {}, reading.problems});
  }
  check_not_weakened(reading, of_file);
}

PipelineConfig read(std::string_view yaml, const fs::path& file, const Environment& environment) {
  Reading reading{{}, file.parent_path(), Problems(file), false};
  reading.config.file = file;
  reading.config.launch.logs = reading.folder / "logs";
  reading.model_is_overridden = variable(environment, "TALARIA_MODEL") != nullptr;
  read_file(reading, parse_yaml(yaml, file));
  apply_environment(reading, environment);
  reading.problems.throw_if_any();
  return std::move(reading.config);
}

std::string read_text(const fs::path& file) {
  std::error_code ignored;
  std::ifstream stream(file, std::ios::binary);
  if (fs::is_directory(file, ignored) || !stream)
    throw Error(Errc::io,
                fmt::format("{}: cannot be read; expected a pipeline file", file.string()));
  std::string text(kReadBytes, '\0');
  stream.read(text.data(), kReadBytes);
  if (stream.bad())
    throw Error(Errc::io, fmt::format("{}: reading failed; is the disk all right?", file.string()));
  text.resize(static_cast<std::size_t>(stream.gcount()));
  return text;
}

} // namespace

std::size_t Masking::pool_memory() const {
  constexpr std::size_t kUsual = std::size_t{2} << 30;
  if (memory) return *memory;
  const std::size_t machine = memory_of_machine();
  return machine == 0 ? kUsual : machine / 4;
}

PipelineConfig load_pipeline_config(const fs::path& file, const Environment& environment) {
  return read(read_text(file), file, environment);
}

PipelineConfig parse_pipeline_config(std::string_view yaml, const fs::path& file) {
  return read(yaml, file, {});
}

} // namespace talaria::config
