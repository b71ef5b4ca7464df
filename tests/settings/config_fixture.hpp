#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>

#include "config/pipeline_config.hpp"
#include "core/error.hpp"
#include "settings/resolve.hpp"

namespace talaria::tests {

/// A folder with a model folder and certificates in it, as far as a pipeline file needs them.
class ConfigFolder {
public:
  ConfigFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "talaria-config-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    root_ = name;
    std::filesystem::create_directories(root_ / "model");
    std::filesystem::create_directories(root_ / "certs");
    for (const char* file : {"ca.pem", "enclave.pem", "enclave.key"})
      std::ofstream(root_ / "certs" / file) << "a file\n";
  }
  ~ConfigFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }
  ConfigFolder(const ConfigFolder&) = delete;
  ConfigFolder& operator=(const ConfigFolder&) = delete;

  const std::filesystem::path& root() const { return root_; }
  std::filesystem::path file() const { return root_ / "pipeline.yaml"; }

  std::filesystem::path write(std::string_view text) const {
    std::ofstream(file(), std::ios::binary) << text;
    return file();
  }

  config::PipelineConfig parse(std::string_view yaml) const {
    return settings::parse_pipeline_config(yaml, file());
  }

  /// The message of the config error that `yaml` causes, with the file's name cut to "F"; empty if
  /// it is accepted.
  std::string complaint(std::string_view yaml) const {
    try {
      parse(yaml);
    } catch (const Error& error) {
      return error.code() == Errc::config ? shortened(error.what()) : "not a config error";
    }
    return {};
  }

  std::string shortened(std::string_view text) const {
    const std::string name = file().string();
    std::string result;
    for (std::size_t at = text.find(name); at != text.npos; at = text.find(name)) {
      result.append(text.substr(0, at)).append(1, 'F');
      text.remove_prefix(at + name.size());
    }
    return result.append(text);
  }

private:
  std::filesystem::path root_;
};

inline constexpr std::string_view kFullPipeline = R"(# everything a file can say
model: model
masking:
  scheme: hybrid
  parameters: S46
  weights: int16
  reply: switched
  pool: { rows_ahead: 4096, memory: 2GiB, threads: 3 }
  hybrid: { rank_ratio: 0.25 }
  integrity: none
pipeline: { micro_batches: 4, max_rows: 512, prefill_chunk: 64, threads: 8, cores: "0-3,8", speculate: ngram:6, speculate_always: true }
workers:
  - { name: gpu-a, address: 10.0.0.5:7600, device: cuda:0, layers: 0-15 }
  - { name: gpu-b, address: "[fd00::6]:7601", device: cuda:1, layers: 16-31 }
  - name: spare
    address: spare.example:7602
    device: cpu
    layers: all
    role: replica
tls: { ca: certs/ca.pem, cert: certs/enclave.pem, key: certs/enclave.key }
serve: { listen: 127.0.0.1:8000 }
telemetry: { metrics: 127.0.0.1:9400, trace: traces/ }
faults:
  deadline: 3s
  request_deadline: 1min
  retries: 7
  strikes: 2
  heartbeat: 50ms
  silence: 500ms
  reconnect: { first: 20ms, most: 2s }
  quarantine: 1h
  in_flight: 8
hints: { cache: hints, max_size: 3GiB }
launch:
  logs: var/logs
  program: bin/talaria-worker
  ssh: ssh -p 2222 {ssh} {command}
  restarts: 9
  backoff: { first: 1s, most: 1min }
  ready: 30s
)";

inline constexpr std::string_view kTls =
    "tls: { ca: certs/ca.pem, cert: certs/enclave.pem, key: certs/enclave.key }\n";

} // namespace talaria::tests
