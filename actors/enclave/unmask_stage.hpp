#pragma once

#include "actors/enclave/mask_stage.hpp"
#include "actors/enclave/stage_context.hpp"

namespace talaria::enclave {

/// What becomes of the opened product.
enum class Unmasked {
  as_input,      ///< x of the next stage; the residual stream passes by (qkv, gate_up, lm_head)
  into_residual, ///< added to the residual stream (o, down)
};

/// Checks and opens the worker's answers. A full reply that is not the product is disputed: the
/// same masked bytes go to somebody else for the column shards that fail their own check. What
/// adapters add to the product is computed here, in clear, while the worker is at work.
///
///   Pending{opening} ──►┐
///                       ├─ unmask ──► Flow ──► next
///   Answer{product} ───►┘   ▲  ├── not the product ──► Contest ──► outsource, whose answer it was
///                           │  └── nobody left, or none came ──► Failure ──► overseer
///                           └──────── another answer, checked like the first ──────┘
UnmaskStage::behavior_type unmask_stage(UnmaskStage::pointer self, StageContext context,
                                        OutsourcedLinear target, Unmasked mode, Stage next);

UnmaskStage spawn_unmask(caf::actor_system& system, StageContext context, OutsourcedLinear target,
                         Unmasked mode, Stage next);

} // namespace talaria::enclave
