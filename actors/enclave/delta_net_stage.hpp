#pragma once

#include <memory>

#include "actors/enclave/attention_team.hpp"
#include "actors/enclave/stage_context.hpp"
#include "kv/block_list.hpp"
#include "model/delta_net.hpp"

namespace talaria::enclave {

/// What a DeltaNet layer computes with.
struct DeltaNetShape {
  std::shared_ptr<const model::DeltaNet> net;
  std::shared_ptr<const kv::Layout> layout; ///< of the blocks that segments come with
  std::size_t layer = 0;
  bool last_layer = false; ///< as AttentionShape::last_layer
};

/// A Gated DeltaNet in the place of attention, with the same stage around it: micro-batches wait
/// for the rows before them. The state of a sequence lies in its block list (kv::Store owns it) and
/// begins as zeros with the sequence's first row.
///
///   Flow{x = qkv|z|b|a} ──► convolution, state, gated norm ──► Flow{x} ──► mask(o)
AttentionStage spawn_delta_net(caf::actor_system& system, StageContext context, DeltaNetShape shape,
                               std::shared_ptr<AttentionTeam> team, Stage next, SamplerStage drain);

} // namespace talaria::enclave
