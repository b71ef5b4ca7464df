#include "actors/enclave/norm_stage.hpp"

#include <algorithm>

#include "kernels/elementwise.hpp"
#include "kernels/kernel_set.hpp"

namespace talaria::enclave {

namespace {

using telemetry::SpanKind;

/// A stage that makes one Flow of another, timed as `kind`.
template <class Work>
Stage::behavior_type row_stage(Stage::pointer self, StageContext context, SpanKind kind, Stage next,
                               Work work) {
  name_exceptions_by_kind(self);
  return {[self, context, kind, next, work](const Flow& flow) {
    guarded(self, context, flow.batch->id, [&] {
      const auto span = context.span(kind, *flow.batch, flow.x->rows(), flow.sent);
      Flow out = flow;
      work(flow, out);
      out.sent = context.now();
      self->send(next, std::move(out));
    });
  }};
}

Stage::behavior_type norm_stage(Stage::pointer self, StageContext context, std::vector<float> gain,
                                float eps, Stage next) {
  return row_stage(self, std::move(context), SpanKind::norm, std::move(next),
                   [gain = std::move(gain), eps](const Flow& flow, Flow& out) {
                     const Matrix<float>& h = *flow.residual;
                     const float* const factors = gain.empty() ? nullptr : gain.data();
                     Matrix<float> normed(h.rows(), h.cols(), Unwritten{});
                     for (std::size_t r = 0; r < h.rows(); ++r)
                       kernels::active_kernels().rms_norm(h.row(r), factors, normed.row(r),
                                                          h.cols(), eps);
                     out.x = share_clear(std::move(normed));
                   });
}

Stage::behavior_type out_norm_stage(Stage::pointer self, StageContext context,
                                    std::vector<float> gain, float eps, float scalar, Stage next) {
  return row_stage(self, std::move(context), SpanKind::norm, std::move(next),
                   [gain = std::move(gain), eps, scalar](const Flow& flow, Flow& out) {
                     const Matrix<float>& x = *flow.x;
                     Matrix<float> sum(x.rows(), x.cols(), Unwritten{});
                     for (std::size_t r = 0; r < x.rows(); ++r) {
                       float* to = sum.row(r);
                       kernels::active_kernels().rms_norm(x.row(r), gain.data(), to, x.cols(), eps);
                       const float* h = flow.residual->row(r);
                       for (std::size_t i = 0; i < x.cols(); ++i) to[i] = (h[i] + to[i]) * scalar;
                     }
                     out.residual = out.x = share_clear(std::move(sum));
                   });
}

Stage::behavior_type soft_cap_stage(Stage::pointer self, StageContext context, float cap,
                                    Stage next) {
  return row_stage(self, std::move(context), SpanKind::activation, std::move(next),
                   [cap](const Flow& flow, Flow& out) {
                     const Matrix<float>& x = *flow.x;
                     Matrix<float> capped(x.rows(), x.cols(), Unwritten{});
                     std::copy_n(x.data(), x.rows() * x.cols(), capped.data());
                     for (std::size_t r = 0; r < x.rows(); ++r)
                       kernels::soft_cap(capped.row(r), x.cols(), cap);
                     out.x = share_clear(std::move(capped));
                   });
}

} // namespace

Stage spawn_norm(caf::actor_system& system, StageContext context, std::vector<float> gain,
                 float eps, Stage next) {
  return system.spawn(norm_stage, std::move(context), std::move(gain), eps, std::move(next));
}

Stage spawn_out_norm(caf::actor_system& system, StageContext context, std::vector<float> gain,
                     float eps, float scalar, Stage next) {
  return system.spawn(out_norm_stage, std::move(context), std::move(gain), eps, scalar,
                      std::move(next));
}

Stage spawn_soft_cap(caf::actor_system& system, StageContext context, float cap, Stage next) {
  return system.spawn(soft_cap_stage, std::move(context), cap, std::move(next));
}

} // namespace talaria::enclave
