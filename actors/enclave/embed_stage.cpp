#include "actors/enclave/embed_stage.hpp"

namespace talaria::enclave {

EmbedStage::behavior_type embed_stage(EmbedStage::pointer self, StageContext context,
                                      std::shared_ptr<const model::EmbeddingTable> table,
                                      std::size_t hidden, Stage next) {
  return {[self, context, table, hidden, next](const Admit& admit) {
    const MicroBatch& batch = *admit.batch;
    guarded(self, context, batch.id, [&] {
      const auto span = context.span("embed", batch, batch.rows);
      Matrix<float> rows(batch.rows, hidden);
      for (std::size_t r = 0; r < batch.rows; ++r) table->lookup(batch.tokens[r], rows.row_span(r));
      Flow flow;
      flow.batch = admit.batch;
      flow.residual = flow.x = share_clear(std::move(rows));
      self->send(next, std::move(flow));
    });
  }};
}

EmbedStage spawn_embed(caf::actor_system& system, StageContext context,
                       std::shared_ptr<const model::EmbeddingTable> table, std::size_t hidden,
                       Stage next) {
  return system.spawn(embed_stage, std::move(context), std::move(table), hidden, std::move(next));
}

} // namespace talaria::enclave
