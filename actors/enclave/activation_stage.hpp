#pragma once

#include "actors/enclave/stage_context.hpp"
#include "arch/model_plan.hpp"
#include "model/mixture.hpp"

namespace talaria::enclave {

/// SiLU or GELU of the gate times up; takes the fused gate and up columns.
///
///   Flow{x = gate|up} ──► activation ──► Flow{x = act(gate) up} ──► mask(down)
/// With a mixture, each expert's part of it times its share of the row.
///
/// @param mixture of the layer; null: it has one feed-forward.
Stage spawn_activation(caf::actor_system& system, StageContext context, arch::FeedForward shape,
                       std::shared_ptr<const model::Mixture> mixture, Stage next);

/// How much each expert counts for a row. It stays in the enclave: every expert gets every row.
///
///   Flow{x} ──► router ──► Flow{x, shares} ──► mask(gate_up)
Stage spawn_router(caf::actor_system& system, StageContext context,
                   std::shared_ptr<const model::Mixture> mixture, Stage next);

} // namespace talaria::enclave
