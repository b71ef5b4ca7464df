#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "pipeline/engine.hpp"

namespace talaria::cli {

/// What is asked of an engine at once.
struct BenchLoad {
  std::size_t batch = 1; ///< requests that run together
  u32 prefill = 256;     ///< prompt tokens of each, when prefill is measured
  u32 decode = 24;       ///< tokens that each generates while all of them do
  u32 context = 16;      ///< prompt tokens of each, when decoding is measured
};

/// What a token costs this process, masks apart: they are made in blocks of hundreds of rows, some
/// rounds make many and others none.
struct TokenCost {
  double cpu_ms = 0;     ///< CPU time of all threads but what they spent on masks
  double enclave_ms = 0; ///< the same without an embedded worker's products
  double mask_bytes = 0; ///< of the masks used
};

struct PrefillFigures {
  double tokens_per_s = 0; ///< prompt tokens of all requests until the last has its first token
  double ttft_ms = 0;      ///< median time from submission to a request's first token
  TokenCost cost;          ///< of each prompt token
};
/// Begins with a full stock of masks.
PrefillFigures measure_prefill(pipeline::Engine& engine, const BenchLoad& load);

struct DecodeFigures {
  double tokens_per_s = 0; ///< of all requests, while all of them generate
  u64 mask_stalls = 0;     ///< times that masks had to be made while somebody waited
  TokenCost cost;          ///< of each row, those of the prompts among them
};
/// `max_rows` of the engine's micro-batches. Begins with a full stock of masks.
DecodeFigures measure_decode(pipeline::Engine& engine, const BenchLoad& load, u32 max_rows);

/// A decode step: from a token of the first request to its next.
struct StepFigures {
  double seconds = 0;
  double cpu_seconds = 0; ///< of all threads of this process
};
/// `load.decode` steps while all requests generate. `before_step(i)` is called before each of them,
/// on the thread that delivers tokens, so that steps of two kinds can alternate.
std::vector<StepFigures> measure_steps(pipeline::Engine& engine, const BenchLoad& load,
                                       u32 max_rows, std::function<void(std::size_t)> before_step);

/// What one token more costs on the way to the workers and back.
struct TokenBytes {
  u64 up = 0;
  u64 down = 0;
};
/// Exact: the difference of two short requests. The first use of an engine warms it up.
TokenBytes measure_bytes(pipeline::Engine& engine);

// All throw the Error of a request that fails, and Error{cancelled} after Engine::cancel_all().

} // namespace talaria::cli
