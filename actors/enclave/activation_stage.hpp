#pragma once

#include "actors/enclave/stage_context.hpp"
#include "arch/model_plan.hpp"

namespace talaria::enclave {

/// SiLU or GELU of the gate times up; takes the fused gate and up columns.
///
///   Flow{x = gate|up} ──► activation ──► Flow{x = act(gate) up} ──► mask(down)
Stage::behavior_type activation_stage(Stage::pointer self, StageContext context,
                                      arch::FeedForward shape, Stage next);

Stage spawn_activation(caf::actor_system& system, StageContext context, arch::FeedForward shape,
                       Stage next);

} // namespace talaria::enclave
