#include "actors/enclave/activation_stage.hpp"

#include <algorithm>

namespace talaria::enclave {

namespace {

/// The residual stream with what experts add to it besides their matrices.
ClearTensor with_biases(const model::Mixture& mixture, const Flow& flow) {
  const Matrix<float>& from = *flow.residual;
  Matrix<float> sum(from.rows(), from.cols(), Unwritten{});
  std::copy_n(from.data(), from.rows() * from.cols(), sum.data());
  for (std::size_t r = 0; r < sum.rows(); ++r) mixture.add(flow.shares->row(r), sum.row(r));
  return share_clear(std::move(sum));
}

Stage::behavior_type activation_stage(Stage::pointer self, StageContext context,
                                      arch::FeedForward shape,
                                      std::shared_ptr<const model::Mixture> mixture, Stage next) {
  name_exceptions_by_kind(self);
  return {[self, context, shape, mixture, next](const Flow& flow) {
    guarded(self, context, flow.batch->id, [&] {
      const Matrix<float>& x = *flow.x;
      const auto span =
          context.span(telemetry::SpanKind::activation, *flow.batch, x.rows(), flow.sent);
      Matrix<float> out(x.rows(), shape.intermediate, Unwritten{});
      for (std::size_t r = 0; r < x.rows(); ++r) {
        model::activate(shape, x.row(r), out.row(r));
        if (mixture) mixture->apply(flow.shares->row(r), out.row(r));
      }
      Flow next_flow = flow;
      if (mixture && mixture->adds()) next_flow.residual = with_biases(*mixture, flow);
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
