#include "actors/enclave/latent_stage.hpp"

namespace talaria::enclave {

namespace {

using LatentHeadsPtr = std::shared_ptr<const model::LatentHeads>;

Stage::behavior_type latent_stage(Stage::pointer self, StageContext context, LatentHeadsPtr heads,
                                  Stage next) {
  name_exceptions_by_kind(self);
  return {[self, context, heads, next](const Flow& flow) {
    guarded(self, context, flow.batch->id, [&] {
      const Matrix<float>& x = *flow.x;
      const auto span = context.span(telemetry::SpanKind::norm, *flow.batch, x.rows(), flow.sent);
      Matrix<float> latent(x.rows(), heads->latent_width(), Unwritten{});
      Matrix<float> kept(x.rows(), heads->kept_width(), Unwritten{});
      for (std::size_t r = 0; r < x.rows(); ++r) heads->split(x.row(r), latent.row(r), kept.row(r));
      Flow out = flow;
      out.x = share_clear(std::move(latent));
      out.kept = share_clear(std::move(kept));
      out.sent = context.now();
      self->send(next, std::move(out));
    });
  }};
}

Stage::behavior_type heads_stage(Stage::pointer self, StageContext context, LatentHeadsPtr heads,
                                 Stage next) {
  name_exceptions_by_kind(self);
  return {[self, context, heads, next](const Flow& flow) {
    guarded(self, context, flow.batch->id, [&] {
      const Matrix<float>& x = *flow.x;
      const auto span =
          context.span(telemetry::SpanKind::attention, *flow.batch, x.rows(), flow.sent);
      Matrix<float> joined(x.rows(), heads->joined_width(), Unwritten{});
      for (std::size_t r = 0; r < x.rows(); ++r)
        heads->join(flow.kept->row(r), x.row(r), joined.row(r));
      Flow out = flow;
      out.x = share_clear(std::move(joined));
      out.kept.reset();
      out.sent = context.now();
      self->send(next, std::move(out));
    });
  }};
}

} // namespace

Stage spawn_latent(caf::actor_system& system, StageContext context,
                   std::shared_ptr<const model::LatentHeads> heads, Stage next) {
  return system.spawn(latent_stage, std::move(context), std::move(heads), std::move(next));
}

Stage spawn_heads(caf::actor_system& system, StageContext context,
                  std::shared_ptr<const model::LatentHeads> heads, Stage next) {
  return system.spawn(heads_stage, std::move(context), std::move(heads), std::move(next));
}

} // namespace talaria::enclave
