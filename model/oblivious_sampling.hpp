#pragma once

#include <span>

#include "core/integers.hpp"
#include "core/random.hpp"

namespace talaria::model {

struct SamplingParameters;

/// The token that Sampler picks from the same logits, parameters and random bytes, bit for bit, in
/// time and at addresses that depend on none but the parameters and the lengths of `logits` and
/// `seen`: passes over all of the vocabulary. Where sorting would do, a threshold is searched for
/// bit by bit (35 or 64 passes for top-k, one per bit of a weight for top-p).
///
/// Divisions and products of doubles count as constant in time: no operand is subnormal.
/// @throws Error{internal} as Sampler does; that there is an error may be seen.
u32 sample_obliviously(std::span<const float> logits, std::span<const u32> seen,
                       const SamplingParameters& parameters, Rng& rng);

} // namespace talaria::model
