#pragma once

#include <memory>

#include "actors/enclave/stage_context.hpp"
#include "model/latent_heads.hpp"

namespace talaria::enclave {

/// Latent attention has two matrices before its scores; these are the stages around the second.
///
///   Flow{x of the first} ──► latent ──► Flow{x = latent, normed; kept} ──► mask
///   Flow{x of the second, kept} ──► heads ──► Flow{x = q, k, v} ──► attention
Stage spawn_latent(caf::actor_system& system, StageContext context,
                   std::shared_ptr<const model::LatentHeads> heads, Stage next);
Stage spawn_heads(caf::actor_system& system, StageContext context,
                  std::shared_ptr<const model::LatentHeads> heads, Stage next);

} // namespace talaria::enclave
