#pragma once

#include <memory>

#include "actors/enclave/attention_team.hpp"
#include "actors/enclave/stage_context.hpp"
#include "model/per_layer_inputs.hpp"

namespace talaria::enclave {

/// Inputs of all layers, once for a micro-batch, behind the matrix that projects the embeddings.
///
///   Flow{residual, x = projected, per_layer = table rows}
///     ──► per-layer inputs ──► Flow{residual = x, per_layer = inputs} ──► first layer
Stage spawn_per_layer_inputs(caf::actor_system& system, StageContext context,
                             std::shared_ptr<const model::PerLayerMixing> mixing, Stage next);

/// What layer `layer` adds by the token itself. Its two matrices are small and are multiplied here:
/// that saves two round trips.
///
///   Flow{residual, per_layer} ──► per-layer input ──► Flow{residual = x} ──► next layer
///
/// Rows are shared among the threads of `team`.
Stage spawn_per_layer_input(caf::actor_system& system, StageContext context,
                            std::shared_ptr<const model::PerLayerBlock> block, std::size_t layer,
                            std::shared_ptr<AttentionTeam> team, Stage next);

} // namespace talaria::enclave
