#pragma once

#include "actors/enclave/stage_context.hpp"

namespace talaria::enclave {

/// Root-mean-square norm without a weight: the gain is folded into the matrix behind it.
///
///   Flow{residual} ──► norm ──► Flow{residual, x = residual / rms(residual)} ──► mask
Stage::behavior_type norm_stage(Stage::pointer self, StageContext context, float eps, Stage next);

Stage spawn_norm(caf::actor_system& system, StageContext context, float eps, Stage next);

} // namespace talaria::enclave
