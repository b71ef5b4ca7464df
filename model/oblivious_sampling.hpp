#pragma once

#include <span>

#include "core/integers.hpp"
#include "core/random.hpp"

namespace talaria::model {

class LogitAdjustment;
struct SamplingParameters;

/// What both ways say if the parameters forbid every token.
inline constexpr const char* kNothingLeft = "no token is left to choose from";

/// The token that Sampler picks from the same logits, parameters and random bytes, bit for bit, in
/// time and at addresses that depend on none but the parameters and the lengths of `logits` and
/// `seen`: passes over all of the vocabulary. Where sorting would do, a threshold is searched for
/// bit by bit (35 or 64 passes for top-k, one per bit of a weight for top-p).
///
/// Divisions and products of doubles count as constant in time: no operand is subnormal.
/// @throws Error{internal} as Sampler does; that there is an error may be seen.
/// @param answer  the last of `seen`  @param adjustment  of the same parameters, oblivious
u32 sample_obliviously(std::span<const float> logits, std::span<const u32> seen,
                       std::span<const u32> answer, const SamplingParameters& parameters,
                       LogitAdjustment& adjustment, Rng& rng);

} // namespace talaria::model
