#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/integers.hpp"

namespace talaria::config {

/// `masking:`
struct Masking {
  std::string scheme = "lattice";            ///< lattice, hybrid or clear
  std::string parameters = "S48";            ///< a name of remo::kAcceptedParameters
  std::string weights = "int8";              ///< int8 or int16
  std::string reply = "full";                ///< full or switched
  std::string integrity = "freivalds";       ///< freivalds or none
  std::size_t rows_ahead = 2048;             ///< pool.rows_ahead, 0 to 2^20
  std::size_t memory = std::size_t{2} << 30; ///< pool.memory in bytes ("2GiB", "512MiB", "1000000")
  std::size_t pool_threads = 1;              ///< pool.threads, 0 to 64
  double hybrid_rank = 0.5;                  ///< hybrid.rank_ratio in (0, 1]
};

/// `pipeline:`
struct Pipeline {
  u32 micro_batches = 2;   ///< 1 to 64
  u32 max_rows = 256;      ///< 1 to 65536
  u32 prefill_chunk = 128; ///< 1 to 65536
  std::size_t threads = 0; ///< 0: all cores; at most 1024
};

/// One entry of `workers:`.
struct WorkerNode {
  enum class Role { primary, replica };
  std::string name;
  std::string host;
  u16 port = 0;
  std::string device = "cpu"; ///< cpu or cuda:N
  bool all_layers = false;    ///< layers: all
  u32 first_layer = 0;        ///< layers: A-B, inclusive
  u32 last_layer = 0;
  Role role = Role::primary;
  int line = 0; ///< where the entry stands, for later errors
};

struct Tls {
  std::filesystem::path ca, cert, key;
};

struct Telemetry {
  std::optional<std::string> metrics;         ///< HOST:PORT
  std::optional<std::filesystem::path> trace; ///< a folder
};

/// A pipeline.yaml (DESIGN.md section 6), read and validated. Relative paths are resolved against
/// the folder of the file.
struct PipelineConfig {
  std::filesystem::path file;
  std::filesystem::path model;
  Masking masking;
  Pipeline pipeline;
  std::vector<WorkerNode> workers; ///< empty: one embedded worker
  std::optional<Tls> tls;
  std::optional<std::string> serve_listen; ///< HOST:PORT
  Telemetry telemetry;
};

/// Reads a file, then applies environment variables (TALARIA_MODEL, TALARIA_SCHEME,
/// TALARIA_PARAMETERS, TALARIA_WEIGHTS, TALARIA_THREADS), found by `environment` (null or
/// empty: not set; a relative TALARIA_MODEL is relative to the current folder, not to the file's).
/// @throws Error{config} with every problem found, one line each "file:line:column: key: what is
/// wrong; what was expected": unknown or repeated keys, wrong types, values out of range,
/// overlapping primary layers, gaps between layers, workers without tls, a missing model folder.
/// Error{io} if the file cannot be read.
PipelineConfig load_pipeline_config(const std::filesystem::path& file,
                                    const std::function<const char*(const char*)>& environment);

/// The same from text; `file` is used in messages and to resolve paths.
PipelineConfig parse_pipeline_config(std::string_view yaml, const std::filesystem::path& file);

/// "2GiB", "512MiB", "64KiB", "1000000" to bytes; nothing if malformed or too large.
std::optional<std::size_t> parse_bytes(std::string_view text);

} // namespace talaria::config
