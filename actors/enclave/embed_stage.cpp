#include "actors/enclave/embed_stage.hpp"

#include <algorithm>

#include "model/weights/oblivious_lookup.hpp"

namespace talaria::enclave {

namespace {

void tell_requests(const StageContext& context, const MicroBatch& batch) {
  std::vector<u64> traces;
  for (const Segment& segment : batch.segments) traces.push_back(segment.trace);
  context.tracer->carries(batch.id, std::move(traces));
}

/// Padding is zeros, which take as long to make as other rows.
void look_up_in_vain(const model::EmbeddingTable& table, const MicroBatch& batch,
                     std::size_t width) {
  SecretBuffer<float> row(width);
  for (u32 i = 0; i < batch.padding; ++i) table.lookup(batch.tokens.back(), row.span());
}

/// Rows read where they lie.
void look_up_each(const model::EmbeddingTable& table, const MicroBatch& batch,
                  Matrix<float>& rows) {
  for (std::size_t r = 0; r < batch.tokens.size(); ++r)
    table.lookup(batch.tokens[r], rows.row_span(r));
  if (batch.even) look_up_in_vain(table, batch, rows.cols());
}

/// All rows by one pass; padding takes part in it where it is to cost what other rows do.
void look_up_all(const model::EmbeddingTable& table, const MicroBatch& batch, Matrix<float>& rows,
                 ThreadTeam& team) {
  const std::size_t real = batch.tokens.size();
  SecretBuffer<u32> ids(batch.even ? rows.rows() : real);
  std::copy(batch.tokens.begin(), batch.tokens.end(), ids.data());
  model::lookup_obliviously(table, ids.span(), rows.view(), team);
  std::fill(rows.row(0) + real * rows.cols(), rows.row(0) + rows.rows() * rows.cols(), 0.0F);
}

Matrix<float> rows_of(const model::EmbeddingTable& table, const MicroBatch& batch,
                      AttentionTeam* oblivious) {
  Matrix<float> rows(batch.rows, table.hidden());
  if (oblivious != nullptr)
    look_up_all(table, batch, rows, oblivious->helpers);
  else
    look_up_each(table, batch, rows);
  return rows;
}

/// Where the rows stand. Rows of padding are prepared like others where they are to cost the same.
std::shared_ptr<const model::RowPositions> positions_of(const model::RopeTables& ropes,
                                                        const MicroBatch& batch) {
  std::vector<u32> positions;
  std::vector<u32> lengths;
  for (const Segment& segment : batch.segments)
    for (u32 i = 0; i < segment.count; ++i) {
      positions.push_back(segment.start + i);
      lengths.push_back(segment.length);
    }
  if (batch.even) positions.resize(batch.rows, batch.segments.back().start);
  lengths.resize(positions.size(), batch.segments.back().length);
  return std::make_shared<const model::RowPositions>(ropes.at(std::move(positions), lengths));
}

EmbedStage::behavior_type embed_stage(EmbedStage::pointer self, StageContext context,
                                      EmbedShape shape, Stage next,
                                      std::shared_ptr<AttentionTeam> oblivious) {
  name_exceptions_by_kind(self);
  return {[self, context, shape, next, oblivious](const Admit& admit) {
    const MicroBatch& batch = *admit.batch;
    guarded(self, context, batch.id, [&] {
      const auto span = context.span(telemetry::SpanKind::embed, batch, batch.rows, admit.sent);
      if (context.tracing() && batch.segments.size() > 1) tell_requests(context, batch);
      Matrix<float> rows = rows_of(*shape.table, batch, oblivious.get());
      if (shape.multiplier != 1)
        for (std::size_t i = 0; i < rows.rows() * rows.cols(); ++i)
          rows.data()[i] *= shape.multiplier;
      Flow flow;
      flow.batch = admit.batch;
      flow.residual = flow.x = share_clear(std::move(rows));
      if (shape.per_layer)
        flow.per_layer = share_clear(rows_of(*shape.per_layer, batch, oblivious.get()));
      flow.positions = positions_of(shape.ropes, batch);
      flow.sent = context.now();
      self->send(next, std::move(flow));
    });
  }};
}

} // namespace

EmbedStage spawn_embed(caf::actor_system& system, StageContext context, EmbedShape shape,
                       Stage next, std::shared_ptr<AttentionTeam> oblivious) {
  return system.spawn(embed_stage, std::move(context), std::move(shape), std::move(next),
                      std::move(oblivious));
}

} // namespace talaria::enclave
