#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "arch/model_plan.hpp"
#include "config/pipeline_config.hpp"

namespace talaria::cli {

/// What one node does and costs; bytes are those of its share.
struct PlacementRow {
  std::string node, address;
  std::string start;   ///< local, ssh or never; here for the embedded worker
  std::string layers;  ///< "0-2"
  bool head = false;   ///< the last layer brings it
  std::string columns; ///< "all" or "1/2"
  std::string role;    ///< primary or replica
  u32 matrices = 0;
  u64 weight_bytes = 0; ///< in the memory of the node, without padding
  u64 hint_bytes = 0;   ///< in the memory of the enclave, for what the node is asked
  u32 round_trips = 0;  ///< per token while all is well: none for replicas
};

/// The resolved plan of a pipeline file.
struct PlacementTable {
  std::vector<PlacementRow> rows;
  u64 hint_bytes = 0;  ///< of the enclave: each matrix once, whoever multiplies it
  u32 round_trips = 0; ///< per token, one after the other; shares of a matrix travel together
};

/// From the model's config alone. A file without workers has one row: the embedded worker.
/// @throws Error{config} for layers that do not fit the model.
PlacementTable placement_table(const config::PipelineConfig& config, const arch::ModelPlan& model);

/// For people: one line per node.
std::string to_text(const PlacementTable& table);
/// The whole, in one line.
std::string sums_text(const PlacementTable& table);
/// {"nodes":[...],"hint_bytes":N,"round_trips_per_token":N}
nlohmann::json to_json(const PlacementTable& table);

/// "12.5 MiB"
std::string mib(u64 bytes);

} // namespace talaria::cli
