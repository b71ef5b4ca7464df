#include "actors/enclave/activation_stage.hpp"

#include "kernels/elementwise.hpp"
#include "kernels/kernel_set.hpp"

namespace talaria::enclave {

namespace {

Stage::behavior_type activation_stage(Stage::pointer self, StageContext context,
                                      arch::FeedForward shape,
                                      std::shared_ptr<const model::Mixture> mixture, Stage next) {
  name_exceptions_by_kind(self);
  return {[self, context, shape, mixture, next](const Flow& flow) {
    guarded(self, context, flow.batch->id, [&] {
      const Matrix<float>& x = *flow.x;
      const auto span =
          context.span(telemetry::SpanKind::activation, *flow.batch, x.rows(), flow.sent);
      const std::size_t n = shape.intermediate;
      const auto gate = shape.activation == arch::Activation::silu
                            ? kernels::active_kernels().silu_mul
                            : kernels::gelu_tanh_mul;
      Matrix<float> out(x.rows(), n, Unwritten{});
      for (std::size_t r = 0; r < x.rows(); ++r) {
        gate(x.row(r), x.row(r) + n, out.row(r), n);
        if (mixture) mixture->apply(flow.shares->row(r), out.row(r));
      }
      Flow next_flow = flow;
      next_flow.x = share_clear(std::move(out));
      next_flow.shares.reset();
      next_flow.sent = context.now();
      self->send(next, std::move(next_flow));
    });
  }};
}

Stage::behavior_type router_stage(Stage::pointer self, StageContext context,
                                  std::shared_ptr<const model::Mixture> mixture, Stage next) {
  name_exceptions_by_kind(self);
  return {[self, context, mixture, next](const Flow& flow) {
    guarded(self, context, flow.batch->id, [&] {
      const Matrix<float>& x = *flow.x;
      const auto span =
          context.span(telemetry::SpanKind::activation, *flow.batch, x.rows(), flow.sent);
      Matrix<float> shares(x.rows(), mixture->experts());
      for (std::size_t r = 0; r < x.rows(); ++r)
        mixture->shares_of(x.row(r), x.cols(), shares.row(r));
      Flow out = flow;
      out.shares = share_clear(std::move(shares));
      out.sent = context.now();
      self->send(next, std::move(out));
    });
  }};
}

} // namespace

Stage spawn_activation(caf::actor_system& system, StageContext context, arch::FeedForward shape,
                       std::shared_ptr<const model::Mixture> mixture, Stage next) {
  return system.spawn(activation_stage, std::move(context), std::move(shape), std::move(mixture),
                      std::move(next));
}

Stage spawn_router(caf::actor_system& system, StageContext context,
                   std::shared_ptr<const model::Mixture> mixture, Stage next) {
  return system.spawn(router_stage, std::move(context), std::move(mixture), std::move(next));
}

} // namespace talaria::enclave
