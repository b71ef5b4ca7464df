#pragma once

#include <string>
#include <vector>

#include "planner/fleet.hpp"
#include "planner/model_costs.hpp"
#include "planner/rates.hpp"

namespace talaria::planner {

/// Seconds for which one step keeps each resource busy, and those that pass for whoever waits.
struct StepCost {
  std::vector<double> busy; ///< in the order of System::resources
  double latency = 0;
};

/// Rows that go through the model together.
struct Step {
  double rows = 0, head_rows = 0;
  double context = 0; ///< positions that a row sees
  bool is_prompt = false;
};

/// A way to serve a model: how long a step takes, as sums over its resources.
struct System {
  std::string name;
  std::vector<std::string> resources;
  StepCost (*cost)(const System& system, const Step& step) = nullptr;
  const ModelCosts* model = nullptr;
  const Fleet* fleet = nullptr;
  const Rates* rates = nullptr;
  std::vector<double> shares; ///< of the weights, for each single machine of fleet->workers in turn
  double copies = 1;          ///< independent ones that share the load (enclaves)
  double max_sequences = 0;   ///< at once in one copy, by memory and by rows
  double price_per_hour = 0;  ///< of all machines in it
  bool has_price = true;
  std::string impossible; ///< why it cannot be at all; empty: it can
};

/// Masked products on the workers of `fleet`; everything else in the enclave.
System confidential_system(const Fleet& fleet, const ModelCosts& model, const Rates& rates,
                           u32 max_rows);
/// The same workers with everything in clear, without an enclave.
System clear_system(const Fleet& fleet, const ModelCosts& model, const Rates& rates, u32 max_rows);
/// The enclave's processors alone, without workers.
System alone_system(const Fleet& fleet, const ModelCosts& model, const Rates& rates, u32 max_rows);

/// What a system does under a load.
struct Prediction {
  double capacity = 0;   ///< requests/s of all copies, at most
  bool sustains = false; ///< the load that was asked for
  double sequences = 0;  ///< that decode at once in one copy, under that load
  u32 micro_batches = 1;
  double first_token_s = 0, token_s = 0; ///< under that load
  double prompt_tokens_per_s = 0;        ///< at most, when nothing else is done
  std::string bottleneck;                ///< the resource that is busiest at capacity
  std::vector<double> busy;              ///< share of each resource under the load; one copy
};

Prediction predict(const System& system, const Workload& load, u32 chunk);

} // namespace talaria::planner
