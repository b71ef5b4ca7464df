#pragma once

#include <memory>

#include "actors/enclave/linear_adapters.hpp"
#include "actors/enclave/stage_context.hpp"
#include "remo/mask_pool.hpp"
#include "remo/masking_scheme.hpp"

namespace talaria::enclave {

/// One outsourced matrix in the graph: its scheme state and its place in the mask pool.
struct OutsourcedLinear {
  std::shared_ptr<const remo::MaskedLinear> linear;
  std::shared_ptr<remo::MaskPool> pool;
  std::size_t pool_index = 0;
  std::shared_ptr<const LinearAdapters> adapters = nullptr; ///< null: none adds to this matrix
};

/// Hides x. The masked tensor and the means to open its reply part ways here. With adapters x goes
/// along with the latter.
///
///   Flow{x} ──► mask ──┬── Pending{opening} ──► unmask      (first, so that it is there before the
///   answer)
///                      └── Outbound{masked x} ──► outsource
Stage::behavior_type mask_stage(Stage::pointer self, StageContext context, OutsourcedLinear target,
                                OutsourceStage outsource, UnmaskStage unmask);

Stage spawn_mask(caf::actor_system& system, StageContext context, OutsourcedLinear target,
                 OutsourceStage outsource, UnmaskStage unmask);

} // namespace talaria::enclave
