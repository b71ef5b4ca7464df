#pragma once

#include <vector>

#include "actors/enclave/stage_context.hpp"

namespace talaria::enclave {

/// Root-mean-square norm. `gain` is empty where it is folded into the matrix that follows.
///
///   Flow{residual} ──► norm ──► Flow{residual, x = gain residual / rms(residual)} ──► mask
Stage spawn_norm(caf::actor_system& system, StageContext context, std::vector<float> gain,
                 float eps, Stage next);

/// Norm of a block's output, gain included, which is then added to the residual stream; the sum
/// times `scalar`.
///
///   Flow{residual, x} ──► out norm ──► Flow{residual = x = residual + gain x / rms(x)} ──► next
Stage spawn_out_norm(caf::actor_system& system, StageContext context, std::vector<float> gain,
                     float eps, float scalar, Stage next);

/// Logits that cannot grow beyond a cap.
///
///   Flow{x} ──► soft cap ──► Flow{x = cap tanh(x / cap)} ──► sampler
Stage spawn_soft_cap(caf::actor_system& system, StageContext context, float cap, Stage next);

} // namespace talaria::enclave
