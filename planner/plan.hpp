#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "planner/prediction.hpp"
#include "planner/simulation.hpp"

namespace talaria::planner {

/// What to plan for, beside the machines.
struct PlanRequest {
  std::string model_name;
  arch::ModelPlan model;
  std::string parameters = "S48";
  std::string kv_format = "bf16";
  Batching batching;
  Rates rates;
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
  System system; ///< its pointers are into the Plan
  Prediction prediction;
  std::optional<Simulation> simulation;
};

/// The whole answer; docs/planning.md has the formulas. Its outcomes point into it: it stays where
/// it is.
struct Plan {
  Plan() = default;
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

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
  Batching batching;
  std::string requests_from; ///< what was simulated, in words; empty: nothing
};

/// @throws Error{config} for parameters that are not accepted.
std::unique_ptr<Plan> make_plan(const Fleet& fleet, const PlanRequest& request);

/// Simulates `requests` in each of the three systems that is possible. `from` says in words where
/// they are from.
/// @throws as simulate().
void simulate_plan(Plan& plan, const std::vector<Arrival>& requests, std::string from,
                   const SimulationOptions& options);

/// How the three systems do under fractions of the largest load that one of them sustains.
struct SweepPoint {
  double requests_per_second = 0;
  Prediction confidential, clear, alone;
};
std::vector<SweepPoint> sweep(const Plan& plan, u32 points);

std::string to_text(const Plan& plan);
nlohmann::json to_json(const Plan& plan);

/// Money for a million tokens of answers at full capacity, everything included.
double cost_per_million(const Outcome& outcome, const Workload& load);

} // namespace talaria::planner
