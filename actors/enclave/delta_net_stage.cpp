#include "actors/enclave/delta_net_stage.hpp"

#include <algorithm>
#include <utility>

#include "actors/enclave/token_mixer.hpp"

namespace talaria::enclave {

namespace {

class LayerDeltaNet final : public TokenMixer {
public:
  LayerDeltaNet(DeltaNetShape shape, std::shared_ptr<AttentionTeam> team)
      : TokenMixer(shape.last_layer), net_(std::move(shape.net)), team_(std::move(team)),
        view_(shape.layout, shape.layer) {}

  /// out [rows, value_dim] from x [rows, arch::DeltaNet::columns()].
  Matrix<float> run(const MicroBatch& batch, const Matrix<float>& x,
                    const model::RowPositions&) override {
    Matrix<float> out(x.rows(), net_->shape().value_dim());
    std::size_t row = 0;
    for (const Segment& segment : batch.segments) {
      if (!is_abandoned(segment.sequence)) {
        float* const state = view_.state(*segment.blocks);
        if (segment.start == 0) std::fill_n(state, net_->shape().state_numbers(), 0.0F);
        run_rows(x, row, segment.count, state, out);
        has_come_to(segment.sequence, segment.start + segment.count);
      } else if (batch.even) {
        run_in_vain(x, row, segment.count, out);
      }
      row += segment.count;
    }
    if (batch.even && row < x.rows()) run_in_vain(x, row, x.rows() - row, out);
    return out;
  }

private:
  void run_rows(const Matrix<float>& x, std::size_t first, std::size_t count, float* state,
                Matrix<float>& out) const {
    net_->run({x.row(first), count, x.cols()}, state, {out.row(first), count, out.cols()},
              &team_->helpers);
  }

  /// The same work for rows that are nobody's, or nobody's any more: which those are must not show
  /// in the time that a micro-batch takes.
  void run_in_vain(const Matrix<float>& x, std::size_t first, std::size_t count,
                   Matrix<float>& out) {
    const std::size_t numbers = net_->shape().state_numbers();
    if (nowhere_.size() != numbers) nowhere_ = SecretBuffer<float>(numbers);
    std::fill_n(nowhere_.data(), numbers, 0.0F);
    run_rows(x, first, count, nowhere_.data(), out);
    std::fill_n(out.row(first), count * out.cols(), 0.0F);
  }

  std::shared_ptr<const model::DeltaNet> net_;
  std::shared_ptr<AttentionTeam> team_;
  kv::StateView view_;
  SecretBuffer<float> nowhere_;
};

} // namespace

AttentionStage spawn_delta_net(caf::actor_system& system, StageContext context, DeltaNetShape shape,
                               std::shared_ptr<AttentionTeam> team, Stage next,
                               SamplerStage drain) {
  return spawn_mixer(system, std::move(context),
                     std::make_unique<LayerDeltaNet>(std::move(shape), std::move(team)),
                     std::move(next), std::move(drain));
}

} // namespace talaria::enclave
