#include "actors/enclave/activation_stage.hpp"

#include "kernels/elementwise.hpp"
#include "kernels/kernel_set.hpp"

namespace talaria::enclave {

Stage::behavior_type activation_stage(Stage::pointer self, StageContext context,
                                      arch::FeedForward shape, Stage next) {
  name_exceptions_by_kind(self);
  return {[self, context, shape, next](const Flow& flow) {
    guarded(self, context, flow.batch->id, [&] {
      const Matrix<float>& x = *flow.x;
      const auto span =
          context.span(telemetry::SpanKind::activation, *flow.batch, x.rows(), flow.sent);
      const std::size_t n = shape.intermediate;
      const auto gate = shape.activation == arch::Activation::silu
                            ? kernels::active_kernels().silu_mul
                            : kernels::gelu_tanh_mul;
      Matrix<float> out(x.rows(), n, Unwritten{});
      for (std::size_t r = 0; r < x.rows(); ++r) gate(x.row(r), x.row(r) + n, out.row(r), n);
      Flow next_flow = flow;
      next_flow.x = share_clear(std::move(out));
      next_flow.sent = context.now();
      self->send(next, std::move(next_flow));
    });
  }};
}

Stage spawn_activation(caf::actor_system& system, StageContext context, arch::FeedForward shape,
                       Stage next) {
  return system.spawn(activation_stage, std::move(context), shape, std::move(next));
}

} // namespace talaria::enclave
