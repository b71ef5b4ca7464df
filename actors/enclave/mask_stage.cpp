#include "actors/enclave/mask_stage.hpp"

#include "core/wall_clock.hpp"

namespace talaria::enclave {

namespace {

void mark(const StageContext& context, const OutsourcedLinear& target, const MicroBatch& batch,
          remo::MaskedTensor& tensor) {
  tensor.mark = {batch.trace(), batch.id};
  tensor.received = wall_ns(); // an embedded worker has it now; a remote one notes its own time
  const bool once_per_micro_batch = target.pool_index == 0;
  if (once_per_micro_batch) context.tracer->mask_stock(context.track, target.pool->stats().bytes);
}

} // namespace

Stage::behavior_type mask_stage(Stage::pointer self, StageContext context, OutsourcedLinear target,
                                OutsourceStage outsource, UnmaskStage unmask) {
  name_exceptions_by_kind(self);
  return {[self, context, target, outsource, unmask, ticket = u64{0}](const Flow& flow) mutable {
    guarded(self, context, flow.batch->id, [&] {
      const CheckedSpan span(context, telemetry::SpanKind::mask, *flow.batch, flow.x->rows(),
                             target.linear->matrix(), flow.sent);
      auto rows = target.pool->take(target.pool_index, flow.x->rows());
      remo::Masked masked = target.linear->mask(flow.x->view(), std::move(rows));

      if (context.tracing()) mark(context, target, *flow.batch, masked.tensor);

      Pending pending;
      pending.flow = flow;
      if (!target.adapters) pending.flow.x.reset(); // the opening has what it needs of x
      pending.ticket = ++ticket;
      pending.opening = std::make_shared<std::unique_ptr<remo::Opening>>(std::move(masked.opening));
      pending.tensor = masked.tensor;
      self->send(unmask, std::move(pending));
      self->send(outsource, Outbound{ticket, flow.batch->id, std::move(masked.tensor)});
    });
  }};
}

Stage spawn_mask(caf::actor_system& system, StageContext context, OutsourcedLinear target,
                 OutsourceStage outsource, UnmaskStage unmask) {
  return system.spawn(mask_stage, std::move(context), std::move(target), std::move(outsource),
                      std::move(unmask));
}

} // namespace talaria::enclave
