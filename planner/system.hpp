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

/// Rows that go through the model together: some of prompts, some that decode. All are sums over
/// the rows, so that steps may be added up.
struct Step {
  double prompt_rows = 0, answer_rows = 0;
  double head_rows = 0;        ///< whose logits are wanted: each that decodes, a prompt's last
  double prompt_pairs = 0;     ///< positions that the rows of prompts see, added up
  double prompt_positions = 0; ///< positions that are read for them: once for the rows of one
                               ///< prompt
  double answer_positions = 0; ///< positions that the rows that decode see, which are read

  double rows() const noexcept { return prompt_rows + answer_rows; }
};

/// `rows` answers that decode together, each of which sees `context` positions.
Step decode_step(double rows, double context);
/// `rows` tokens of one prompt, which see `context` positions each on average and `positions` at
/// most. `head_rows`: 1 for a prompt's last chunk.
Step prompt_step(double rows, double context, double positions, double head_rows);

/// Whom a resource belongs to. There is one in each enclave, or one in each machine with weights,
/// which all enclaves of a cell ask.
enum class Owner : u8 { enclave, worker };

struct Resource {
  std::string name;
  Owner owner = Owner::enclave;
  double ahead_s = 0; ///< seconds of work (Hop::later) that may be put off at most
};

/// A resource that a step needs on its way.
struct Hop {
  std::size_t resource = 0;
  double busy = 0;    ///< seconds for which it serves nobody else
  double later = 0;   ///< of these, work that may wait until nobody needs it: masks for next time
  double latency = 0; ///< from the beginning of its service to the arrival at the next hop
};

/// What a step does on each machine of a kind, one machine after the other.
struct Leg {
  u32 machines = 1;
  std::vector<Hop> hops;
};

/// A way to serve a model: how long a step takes, as what it asks of which resource in turn.
struct System {
  std::string name;
  std::vector<Resource> resources;
  void (*route)(const System& system, const Step& step, std::vector<Leg>& out) = nullptr;
  const ModelCosts* model = nullptr;
  const Fleet* fleet = nullptr;
  const Rates* rates = nullptr;
  std::vector<double> shares; ///< of the weights, for each single machine of fleet->workers in turn
  double copies = 1;          ///< enclaves, or copies of the model, that share the load: all cells'
  double sharers = 1;         ///< of them, those that share the workers of a cell
  double kv_room = 0;         ///< bytes for keys and values in one copy
  double max_sequences = 0;   ///< at once in one copy, by memory and by rows
  double price_per_hour = 0;  ///< of all machines in it
  bool has_price = true;
  std::string impossible; ///< why it cannot be at all; empty: it can

  /// Sums of the route: an enclave's resources are busy with all legs, of the workers' the busiest
  /// machine counts, with what all enclaves of its cell ask.
  StepCost cost(const Step& step) const;
  std::vector<std::string> resource_names() const;
};

/// Masked products on the workers of `fleet`; everything else in the enclave. Without workers the
/// products are made in the enclave's own process, by its embedded worker.
System confidential_system(const Fleet& fleet, const ModelCosts& model, const Rates& rates,
                           u32 max_rows);
/// The same workers with everything in clear, without an enclave.
System clear_system(const Fleet& fleet, const ModelCosts& model, const Rates& rates, u32 max_rows);
/// The enclave's processors alone, without workers.
System alone_system(const Fleet& fleet, const ModelCosts& model, const Rates& rates, u32 max_rows);

} // namespace talaria::planner
