#pragma once

#include <string>
#include <vector>

#include "planner/system.hpp"

namespace talaria::planner {

/// How a gateway forms steps (`pipeline:` of pipeline.yaml).
struct Batching {
  u32 max_rows = 256;
  u32 chunk = 128;       ///< pipeline.prefill_chunk
  u32 micro_batches = 0; ///< in flight at once; 0: the fastest of 1, 2, 4, 8 and 16
};

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

Prediction predict(const System& system, const Workload& load, const Batching& batching);

} // namespace talaria::planner
