#pragma once

#include <vector>

#include "actors/enclave/stage_context.hpp"
#include "model/weights/pooling.hpp"

namespace talaria::enclave {

struct PoolerShape {
  model::Pooling pooling;
  std::vector<float> score; ///< [hidden], with model::Task::score
};

/// Stands where the sampler does, in models that make one vector or one score of a text. Rows of a
/// text may come in any order; they are taken in that of their positions.
///
///   Enrol{sequence, prompt, dimensions} ──────────►┐
///   Flow{x = wanted rows behind the final norm} ──►├─ pooler ──► Sampled{pooled} ──► overseer
///   Forget{sequence} ──────────────────────────────►┘
SamplerStage spawn_pooler(caf::actor_system& system, StageContext context, PoolerShape shape);

} // namespace talaria::enclave
