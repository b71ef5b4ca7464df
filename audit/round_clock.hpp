#pragma once

#include <functional>
#include <span>
#include <vector>

#include "audit/attack.hpp"
#include "core/progress.hpp"
#include "pipeline/engine.hpp"

namespace talaria::audit {

/// One round of an answer by a worker's clock, and what the worker wants to know of it.
struct TimedRound {
  /// From each of the worker's replies to the next question, in the order of the matrices; the
  /// first is from the last reply of the round before. What the worker itself takes is left out.
  std::vector<i64> gaps;
  bool dummy = false;
};

/// Rounds with the same places in answers to equally long prompts: all of them dummies, or none.
using TimedAnswer = std::vector<TimedRound>;

/// The column of the table.
AttackInfo round_clock_info();

struct RoundClockOptions {
  std::size_t answers = 128; ///< half of them to learn from, half of each half with dummies
  u32 prompt = 800;          ///< tokens; fewer where the model's context is too short
  u64 seed = 1;
  /// Whatever grows with time: the wall clock in ns, or for tests a count of work done.
  std::function<i64()> clock;
};

/// Answers to random prompts, one after the other, through an engine with `padding`: half of them
/// end in the middle of its rounds, so that dummies are the other half of their rounds, half go on.
/// Rounds of the second half are given back: at the same place, with the same context, the only
/// difference is whether they are dummies. @throws Error as the engine does.
std::vector<TimedAnswer> time_rounds(const pipeline::EngineOptions& engine,
                                     const pipeline::Padding& padding,
                                     const RoundClockOptions& options, Progress& progress);

/// Learns from `known`, tells dummies from others in `attacked`: by the one gap behind attention's
/// input and a threshold, and by a logistic regression over all kinds of gaps. A trial is a round;
/// `remark` says how many answers are told apart by most of their rounds, which have less of the
/// machine's load in common. Judges nothing: whether padding is on is the operator's choice, and a
/// busy machine is no defect of the program.
/// @param layers  the gaps of a round are four for each of these, and one for the head
std::vector<AttackResult> tell_dummies(std::span<const TimedAnswer> known,
                                       std::span<const TimedAnswer> attacked, u32 layers);

/// Both, with half of the answers learnt from.
std::vector<AttackResult> round_clock(const pipeline::EngineOptions& engine,
                                      const pipeline::Padding& padding,
                                      const RoundClockOptions& options, Progress& progress);

/// What padding is attacked with if none of its rounds is configured.
pipeline::Padding rounds_padding();

} // namespace talaria::audit
