#pragma once

#include <string>
#include <vector>

#include "planner/histogram.hpp"
#include "planner/load_trace.hpp"
#include "planner/prediction.hpp"

namespace talaria::planner {

struct SimulationOptions {
  u64 seed = 1; ///< of which enclave a request goes to: at random, as clients' sessions do
};

/// How much of the time resources of one kind worked.
struct ResourceUse {
  std::string name;
  double mean = 0; ///< of all machines
  double most = 0; ///< of the busiest place: a machine in all cells, or any enclave
};

/// Figures of a simulated load. Those of the first fifth of the requests are left out, and what
/// happens after the last one has come counts for these requests' durations alone.
struct Simulation {
  u64 machines = 0, requests = 0, too_large = 0; ///< refused: no memory for its keys and values
  u64 events = 0;                                ///< that were looked at
  double seconds = 0;                            ///< simulated, of which figures are told
  double requests_per_second = 0;                ///< answered
  double answer_tokens_per_second = 0, prompt_tokens_per_second = 0;
  bool keeps_up = false;                 ///< 93 % of the tokens that were asked for have come
  Histogram first_token, token, request; ///< to the first token, from one to the next, to the last
  double mean_rows = 0;                  ///< of a step
  double mask_wait_s = 0;                ///< that steps waited for masks, in all
  std::vector<ResourceUse> resources;
  std::string bottleneck;      ///< the resource with the largest mean
  std::vector<double> present; ///< requests that are there, at equal distances of time
  double present_seconds = 0;  ///< from the first of these to the last
};

/// Lets `requests`, in the order of time, through `system` with `batching` (micro_batches >= 1).
/// Each micro-batch visits the machines of its cell in turn; each resource of each machine serves
/// one at a time, in the order of arrival. Equal for equal input.
/// @throws Error{config} if a cell has more machines with weights than the model has matrices.
Simulation simulate(const System& system, const std::vector<Arrival>& requests,
                    const Batching& batching, const SimulationOptions& options);

/// Requests that can be simulated in some seconds; at least five for each copy of the system.
std::size_t affordable_requests(const System& system, const Workload& load,
                                const Batching& batching);

} // namespace talaria::planner
