#include "actors/enclave/per_layer_stage.hpp"

#include <algorithm>

namespace talaria::enclave {

namespace {

constexpr std::size_t kRowsAtOnce = 8; ///< of one thread

Stage::behavior_type inputs_stage(Stage::pointer self, StageContext context,
                                  std::shared_ptr<const model::PerLayerMixing> mixing, Stage next) {
  name_exceptions_by_kind(self);
  return {[self, context, mixing, next](const Flow& flow) {
    guarded(self, context, flow.batch->id, [&] {
      const Matrix<float>& x = *flow.x;
      const auto span = context.span(telemetry::SpanKind::embed, *flow.batch, x.rows(), flow.sent);
      Matrix<float> inputs(x.rows(), x.cols(), Unwritten{});
      SecretBuffer<float> projected(x.cols());
      for (std::size_t r = 0; r < x.rows(); ++r) {
        std::copy_n(x.row(r), x.cols(), projected.data());
        mixing->mix(projected.data(), flow.per_layer->row(r), inputs.row(r));
      }
      Flow out = flow;
      out.per_layer = share_clear(std::move(inputs));
      out.x = flow.residual;
      out.sent = context.now();
      self->send(next, std::move(out));
    });
  }};
}

Stage::behavior_type input_stage(Stage::pointer self, StageContext context,
                                 std::shared_ptr<const model::PerLayerBlock> block,
                                 std::size_t layer, std::shared_ptr<AttentionTeam> team,
                                 Stage next) {
  name_exceptions_by_kind(self);
  return {[self, context, block, layer, team, next](const Flow& flow) {
    guarded(self, context, flow.batch->id, [&] {
      const Matrix<float>& h = *flow.residual;
      const auto span =
          context.span(telemetry::SpanKind::activation, *flow.batch, h.rows(), flow.sent);
      Matrix<float> sum(h.rows(), h.cols(), Unwritten{});
      const std::size_t column = layer * block->width();
      team->helpers.parallel_for_if_free(
          h.rows(), kRowsAtOnce, [&](std::size_t begin, std::size_t end) {
            for (std::size_t r = begin; r < end; ++r)
              block->apply(h.row(r), flow.per_layer->row(r) + column, sum.row(r));
          });
      Flow out = flow;
      out.residual = out.x = share_clear(std::move(sum));
      out.sent = context.now();
      self->send(next, std::move(out));
    });
  }};
}

} // namespace

Stage spawn_per_layer_inputs(caf::actor_system& system, StageContext context,
                             std::shared_ptr<const model::PerLayerMixing> mixing, Stage next) {
  return system.spawn(inputs_stage, std::move(context), std::move(mixing), std::move(next));
}

Stage spawn_per_layer_input(caf::actor_system& system, StageContext context,
                            std::shared_ptr<const model::PerLayerBlock> block, std::size_t layer,
                            std::shared_ptr<AttentionTeam> team, Stage next) {
  return system.spawn(input_stage, std::move(context), std::move(block), layer, std::move(team),
                      std::move(next));
}

} // namespace talaria::enclave
