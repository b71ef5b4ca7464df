#include "actors/enclave/mask_stage.hpp"

namespace talaria::enclave {

Stage::behavior_type mask_stage(Stage::pointer self, StageContext context, OutsourcedLinear target,
                                OutsourceStage outsource, UnmaskStage unmask) {
  return {[self, context, target, outsource, unmask, ticket = u64{0}](const Flow& flow) mutable {
    guarded(self, context, flow.batch->id, [&] {
      const auto span = context.span("mask", *flow.batch, flow.x->rows());
      auto rows = target.pool->take(target.pool_index, flow.x->rows());
      remo::Masked masked = target.linear->mask(flow.x->view(), std::move(rows));

      Pending pending;
      pending.flow = flow;
      pending.flow.x.reset(); // the opening has what it needs of x
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
