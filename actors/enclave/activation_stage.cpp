#include "actors/enclave/activation_stage.hpp"

#include "kernels/kernel_set.hpp"

namespace talaria::enclave {

Stage::behavior_type activation_stage(Stage::pointer self, StageContext context,
                                      std::size_t intermediate, Stage next) {
  name_exceptions_by_kind(self);
  return {[self, context, intermediate, next](const Flow& flow) {
    guarded(self, context, flow.batch->id, [&] {
      const Matrix<float>& x = *flow.x;
      const auto span =
          context.span(telemetry::SpanKind::activation, *flow.batch, x.rows(), flow.sent);
      Matrix<float> out(x.rows(), intermediate, Unwritten{});
      for (std::size_t r = 0; r < x.rows(); ++r)
        kernels::active_kernels().silu_mul(x.row(r), x.row(r) + intermediate, out.row(r),
                                           intermediate);
      Flow next_flow = flow;
      next_flow.x = share_clear(std::move(out));
      next_flow.sent = context.now();
      self->send(next, std::move(next_flow));
    });
  }};
}

Stage spawn_activation(caf::actor_system& system, StageContext context, std::size_t intermediate,
                       Stage next) {
  return system.spawn(activation_stage, std::move(context), intermediate, std::move(next));
}

} // namespace talaria::enclave
