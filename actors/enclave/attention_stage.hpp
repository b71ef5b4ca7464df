#pragma once

#include <memory>
#include <vector>

#include "actors/enclave/attention_team.hpp"
#include "actors/enclave/stage_context.hpp"
#include "actors/enclave/token_mixer.hpp"
#include "arch/model_plan.hpp"
#include "kv/block_list.hpp"
#include "model/head_preparation.hpp"

namespace talaria::enclave {

/// What the attention of one layer computes with.
struct AttentionShape {
  arch::Attention attention;
  std::shared_ptr<const model::HeadPreparation> heads; ///< of the same attention
  std::vector<float> sinks;                            ///< model::LayerGains::sinks
  std::shared_ptr<const kv::Layout> layout;            ///< of the blocks that segments come with
  std::size_t layer = 0;
  /// In the last layer rows whose logits nobody wants end here: their keys and values are stored,
  /// and neither masks nor products are spent on them.
  bool last_layer = false;
};

/// Attention of one layer; takes the fused q, k, v rows. Keys and values go into the blocks that
/// each segment brings along (kv::Store owns them).
///
///   Flow{x = q|k|v} ──► q/k norm, RoPE, append k v, softmax(q K^T) V ──► Flow{x = heads} ──►
///   mask(o)
///
/// Micro-batches may arrive in any order: one whose sequence has not come so far yet waits here
/// until the rows before it have been appended.
///   last layer, no row wanted ──► Flow without rows ──► drain (the sampler)
///
/// Heads of long contexts are shared among the threads of `team`: no bit depends on it.
AttentionStage spawn_attention(caf::actor_system& system, StageContext context,
                               AttentionShape shape, std::shared_ptr<AttentionTeam> team,
                               Stage next, SamplerStage drain);

/// The arithmetic of that stage without an actor around it, for a model whose rows pass all layers
/// in one call (pipeline/draft_model.hpp).
std::unique_ptr<TokenMixer> make_attention(AttentionShape shape,
                                           std::shared_ptr<AttentionTeam> team);

} // namespace talaria::enclave
