#pragma once

#include <memory>

#include "actors/enclave/attention_team.hpp"
#include "actors/enclave/stage_context.hpp"
#include "model/weights/quantized.hpp"

namespace talaria::enclave {

/// Tokens to embeddings: where a micro-batch enters the layers.
///
///   Admit(tokens) ──► embed ──► Flow{residual = x = embeddings} ──► first norm
EmbedStage::behavior_type embed_stage(EmbedStage::pointer self, StageContext context,
                                      std::shared_ptr<const model::EmbeddingTable> table,
                                      std::size_t hidden, Stage next,
                                      std::shared_ptr<AttentionTeam> oblivious);

/// `oblivious`, if not null: rows are found by passes over the whole table, which these threads
/// share; else each is read where it lies.
EmbedStage spawn_embed(caf::actor_system& system, StageContext context,
                       std::shared_ptr<const model::EmbeddingTable> table, std::size_t hidden,
                       Stage next, std::shared_ptr<AttentionTeam> oblivious = nullptr);

} // namespace talaria::enclave
