#include "actors/enclave/embed_stage.hpp"

namespace talaria::enclave {

namespace {

void tell_requests(const StageContext& context, const MicroBatch& batch) {
  std::vector<u64> traces;
  for (const Segment& segment : batch.segments) traces.push_back(segment.trace);
  context.tracer->carries(batch.id, std::move(traces));
}

/// Padding is zeros, which take as long to make as other rows.
void look_up_in_vain(const model::EmbeddingTable& table, const MicroBatch& batch,
                     std::size_t hidden) {
  SecretBuffer<float> row(hidden);
  for (u32 i = 0; i < batch.padding; ++i) table.lookup(batch.tokens.back(), row.span());
}

} // namespace

EmbedStage::behavior_type embed_stage(EmbedStage::pointer self, StageContext context,
                                      std::shared_ptr<const model::EmbeddingTable> table,
                                      std::size_t hidden, Stage next) {
  name_exceptions_by_kind(self);
  return {[self, context, table, hidden, next](const Admit& admit) {
    const MicroBatch& batch = *admit.batch;
    guarded(self, context, batch.id, [&] {
      const auto span = context.span(telemetry::SpanKind::embed, batch, batch.rows, admit.sent);
      if (context.tracing() && batch.segments.size() > 1) tell_requests(context, batch);
      Matrix<float> rows(batch.rows, hidden);
      for (std::size_t r = 0; r < batch.tokens.size(); ++r)
        table->lookup(batch.tokens[r], rows.row_span(r));
      if (batch.even) look_up_in_vain(*table, batch, hidden);
      Flow flow;
      flow.batch = admit.batch;
      flow.residual = flow.x = share_clear(std::move(rows));
      flow.sent = context.now();
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
