#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "planner/fleet.hpp"

namespace talaria::planner {

/// A request that comes at a moment.
struct Arrival {
  double time = 0; ///< seconds since the first
  u32 prompt_tokens = 1, answer_tokens = 1;
};

/// Requests of a published trace, by what its first line looks like:
///   Azure LLM inference 2023 and 2024   TIMESTAMP,ContextTokens,GeneratedTokens (date and time)
///   BurstGPT                            Timestamp,Model,Request tokens,Response tokens,...
///   (seconds) Mooncake and vLLM's replays         {"timestamp": ms, "input_length": n,
///   "output_length": n}
/// In the order of time, which starts at 0. Requests with an answer of 0 tokens have failed
/// (BurstGPT) and are left out. At most `most` are read; the file may be larger.
/// @throws Error{config} "FILE:LINE: what is wrong" for the first bad line, or if nothing is left.
std::vector<Arrival> read_load_trace(std::istream& in, const std::string& file, std::size_t most);

/// Requests of a Poisson process with the average lengths of `load`. Equal for equal seeds.
std::vector<Arrival> poisson_arrivals(const Workload& load, std::size_t count, u64 seed);

/// The averages of what they ask for. @throws Error{config} unless there are two at two moments.
Workload workload_of(const std::vector<Arrival>& requests);

} // namespace talaria::planner
