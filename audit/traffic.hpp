#pragma once

#include <span>
#include <vector>

#include "audit/attack.hpp"
#include "audit/transcript.hpp"
#include "core/progress.hpp"
#include "pipeline/engine.hpp"

namespace talaria::audit {

/// A micro-batch as a worker sees it pass: from its first tensor to its last.
struct Round {
  i64 begin_ns = 0; ///< when the first matrix was asked for
  i64 end_ns = 0;   ///< when the last was; of the head, if the round got that far
  u32 rows = 0;
  bool reached_head = false;
};

/// What a worker knows of how the enclave forms rounds: released code and, at worst, its settings.
struct TrafficRules {
  pipeline::Padding padding;
  u32 prefill_chunk = 128;
};

/// Whole numbers that fit what was seen, `low` to `high`, none likelier than another.
struct LengthRange {
  u32 low = 0;
  u32 high = 0;
  u32 guess() const { return low + (high - low) / 2; }
  u32 width() const { return high - low + 1; }
};

/// Rounds of one request that ran alone. `arrivals`: everything that came for it, in order.
/// @param last_matrix  LinearId of the head.
std::vector<Round> rounds_of(std::span<const Arrival> arrivals, u32 last_matrix);

/// Tokens of the prompt, from the rows of the first rounds.
LengthRange prompt_length(std::span<const Round> rounds, const TrafficRules& rules);

/// Tokens of the answer, from the number of rounds.
LengthRange answer_length(std::span<const Round> rounds, const TrafficRules& rules);

/// Of how many entries it is guessed rightly whether they belong to the larger half of `sizes`, if
/// those with times above the median are taken to. Half of them if times say nothing.
std::size_t halves_told_apart(std::span<const i64> times, std::span<const u32> sizes);

/// The column of the table.
AttackInfo traffic_info();

/// What padding is shown with if none is configured; its pace fits a small model.
pipeline::Padding example_padding();

struct TrafficOptions {
  std::size_t requests = 24; ///< with padding off, and again with it on
  u32 longest_prompt = 100;  ///< tokens
  u32 longest_answer = 24;
  u64 seed = 1;
};

/// Requests of random lengths run one after the other through two engines, without and with
/// `padding`, and what is read off their traffic: prompt lengths, answer lengths, and from the
/// times between and within rounds whether the context was short or long. Row counts do not depend
/// on the scheme. The attacker is even told where requests begin. Judges nothing: without padding
/// these leaks are documented.
/// @throws Error as the engine does.
std::vector<AttackResult> traffic_shape(const pipeline::EngineOptions& engine,
                                        const pipeline::Padding& padding,
                                        const TrafficOptions& options, Progress& progress);

} // namespace talaria::audit
