#pragma once

#include <cstddef>

#include "pipeline/engine.hpp"

namespace talaria::cli {

/// What is asked of an engine at once.
struct BenchLoad {
  std::size_t batch = 1; ///< requests that run together
  u32 prefill = 256;     ///< prompt tokens of each, when prefill is measured
  u32 decode = 24;       ///< tokens that each generates while all of them do
};

/// Prompt tokens of each request when decoding is measured.
inline constexpr u32 kDecodePrompt = 16;

struct PrefillFigures {
  double tokens_per_s = 0; ///< prompt tokens of all requests until the last has its first token
  double ttft_ms = 0;      ///< median time from submission to a request's first token
  double cpu_ms = 0;       ///< of this process for each prompt token
};
/// Begins and ends with a full stock of masks, so that `cpu_ms` has in it what new ones cost.
PrefillFigures measure_prefill(pipeline::Engine& engine, const BenchLoad& load);

struct DecodeFigures {
  double tokens_per_s = 0; ///< of all requests, while all of them generate
  u64 mask_stalls = 0;     ///< times that masks had to be made while somebody waited
  double cpu_ms = 0;       ///< of this process for each row, those of the prompts among them
};
/// `max_rows` of the engine's micro-batches. Stock and `cpu_ms` as with measure_prefill(); masks
/// are made in blocks, so `cpu_ms` settles after hundreds of tokens only.
DecodeFigures measure_decode(pipeline::Engine& engine, const BenchLoad& load, u32 max_rows);

/// CPU time of this process so far, all threads.
double cpu_seconds();

/// What one token more costs on the way to the workers and back.
struct TokenBytes {
  u64 up = 0;
  u64 down = 0;
};
/// Exact: the difference of two short requests. The first use of an engine warms it up.
TokenBytes measure_bytes(pipeline::Engine& engine);

// All throw the Error of a request that fails, and Error{cancelled} after Engine::cancel_all().

} // namespace talaria::cli
