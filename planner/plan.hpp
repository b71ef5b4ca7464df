#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "planner/system.hpp"

namespace talaria::planner {

/// What to plan for, beside the machines.
struct PlanRequest {
  std::string model_name;
  arch::ModelPlan model;
  std::string parameters = "S48";
  std::string kv_format = "bf16";
  u32 max_rows = 256; ///< pipeline.max_rows
  u32 chunk = 128;    ///< pipeline.prefill_chunk
};

/// What a machine with weights holds.
struct PlacementPart {
  std::string name, layers;
  double weight_bytes = 0, memory_bytes = 0;
};

/// A change, and what it does to the confidential system.
struct Change {
  std::string what;
  double capacity = 0;
  bool sustains = false; ///< the load; only then the times mean anything
  double token_s = 0, first_token_s = 0;
};

struct Outcome {
  System system; ///< its pointers are into the Plan's request and must not be followed afterwards
  Prediction prediction;
};

/// The whole answer; docs/planning.md has the formulas.
struct Plan {
  std::string model_name;
  Fleet fleet;
  ModelCosts costs;
  Rates rates;
  std::vector<PlacementPart> placement;
  Outcome confidential, clear, alone;
  double mask_bytes = 0;               ///< of the pool for refills of four blocks
  double up_bytes = 0, down_bytes = 0; ///< of the enclaves' links, per second under the load
  double enclave_cores = 0;            ///< busy, of all enclaves, under the load
  std::vector<Change> changes;         ///< the best three, the best first
  bool pays = false;
  std::vector<std::string> verdict; ///< sentences
};

/// @throws Error{config} for parameters that are not accepted.
Plan make_plan(const Fleet& fleet, const PlanRequest& request);

std::string to_text(const Plan& plan);
nlohmann::json to_json(const Plan& plan);

/// Money for a million tokens of answers at full capacity, everything included.
double cost_per_million(const Outcome& outcome, const Workload& load);

} // namespace talaria::planner
