#pragma once

#include "actors/enclave/stage_context.hpp"

namespace talaria::enclave {

/// SiLU of the gate times up; takes the fused gate and up columns.
///
///   Flow{x = gate|up} ──► activation ──► Flow{x = silu(gate) up} ──► mask(down)
Stage::behavior_type activation_stage(Stage::pointer self, StageContext context,
                                      std::size_t intermediate, Stage next);

Stage spawn_activation(caf::actor_system& system, StageContext context, std::size_t intermediate,
                       Stage next);

} // namespace talaria::enclave
