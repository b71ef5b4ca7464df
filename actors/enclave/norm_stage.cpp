#include "actors/enclave/norm_stage.hpp"

#include "kernels/kernel_set.hpp"

namespace talaria::enclave {

Stage::behavior_type norm_stage(Stage::pointer self, StageContext context, float eps, Stage next) {
  name_exceptions_by_kind(self);
  return {[self, context, eps, next](const Flow& flow) {
    guarded(self, context, flow.batch->id, [&] {
      const Matrix<float>& h = *flow.residual;
      const auto span = context.span(telemetry::SpanKind::norm, *flow.batch, h.rows(), flow.sent);
      Matrix<float> normed(h.rows(), h.cols(), Unwritten{});
      for (std::size_t r = 0; r < h.rows(); ++r)
        kernels::active_kernels().rms_norm(h.row(r), nullptr, normed.row(r), h.cols(), eps);
      Flow out = flow;
      out.x = share_clear(std::move(normed));
      out.sent = context.now();
      self->send(next, std::move(out));
    });
  }};
}

Stage spawn_norm(caf::actor_system& system, StageContext context, float eps, Stage next) {
  return system.spawn(norm_stage, std::move(context), eps, std::move(next));
}

} // namespace talaria::enclave
