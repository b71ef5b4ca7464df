#pragma once

#include <memory>

#include "actors/enclave/attention_team.hpp"
#include "actors/enclave/stage_context.hpp"
#include "model/rope_tables.hpp"
#include "model/weights/quantized.hpp"

namespace talaria::enclave {

/// What embedding needs to know of a model.
struct EmbedShape {
  std::shared_ptr<const model::EmbeddingTable> table;
  float multiplier = 1; ///< of the rows
  model::RopeTables ropes;
  /// Of per-layer inputs; null: the model has none.
  std::shared_ptr<const model::EmbeddingTable> per_layer = nullptr;
};

/// Tokens to embeddings, and positions to angles: where a micro-batch enters the layers.
///
///   Admit(tokens) ──► embed ──► Flow{residual = x = embeddings, positions} ──► first norm
///   with a table of per-layer inputs: Flow{.., per_layer = its rows} ──► mask(per_layer_inputs)
///
/// `oblivious`, if not null: rows are found by passes over the whole table, which these threads
/// share; else each is read where it lies.
EmbedStage spawn_embed(caf::actor_system& system, StageContext context, EmbedShape shape,
                       Stage next, std::shared_ptr<AttentionTeam> oblivious = nullptr);

} // namespace talaria::enclave
