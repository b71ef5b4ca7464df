#include "actors/enclave/token_mixer.hpp"

#include <algorithm>
#include <deque>

namespace talaria::enclave {

bool TokenMixer::ready(const MicroBatch& batch) const {
  return std::all_of(batch.segments.begin(), batch.segments.end(), [this](const Segment& s) {
    const auto it = lengths_.find(s.sequence);
    const u32 length = it == lengths_.end() ? s.inherited : it->second;
    return is_abandoned(s.sequence) || length == s.start + s.discarded;
  });
}

void TokenMixer::abandon(SequenceId sequence) {
  lengths_.erase(sequence);
  abandoned_.insert(sequence);
}

void TokenMixer::forget(SequenceId sequence) {
  lengths_.erase(sequence);
  abandoned_.erase(sequence);
}

namespace {

/// The rows of `m` whose logits are wanted, in order, and behind them padding: zeros, or, if nobody
/// wants any, the last row again and again, so that sampling finds logits as it would at the end of
/// a prompt.
ClearTensor wanted_rows(const MicroBatch& batch, const Matrix<float>& m) {
  Matrix<float> out(batch.head_rows(), m.cols());
  std::size_t row = 0;
  std::size_t to = 0;
  for (const Segment& s : batch.segments) {
    const u32 wanted = s.wanted_rows();
    for (u32 i = s.count - wanted; i < s.count; ++i)
      std::copy_n(m.row(row + i), m.cols(), out.row(to++));
    row += s.count;
  }
  for (; batch.even && batch.wanted_rows() == 0 && to < out.rows(); ++to)
    std::copy_n(m.row(row - 1), m.cols(), out.row(to));
  return share_clear(std::move(out));
}

bool every_row_goes_on(const MicroBatch& batch) {
  return batch.wanted_rows() == batch.rows - batch.padding && batch.head_padding == batch.padding;
}

struct State {
  std::unique_ptr<TokenMixer> mixer;
  std::deque<Flow> early; ///< micro-batches that overtook the rows before them
};

AttentionStage::behavior_type mixer_stage(AttentionStage::pointer self, StageContext context,
                                          std::shared_ptr<State> state, Stage next,
                                          SamplerStage drain) {
  name_exceptions_by_kind(self);

  auto process = [self, context, next, drain, state](const Flow& flow) {
    const MicroBatch& batch = *flow.batch;
    guarded(self, context, batch.id, [&] {
      const auto span =
          context.span(telemetry::SpanKind::attention, batch, flow.x->rows(), flow.sent);
      Flow out = flow;
      Matrix<float> mixed = state->mixer->run(batch, *flow.x, *flow.positions);
      if (!state->mixer->is_last_layer() || every_row_goes_on(batch)) {
        out.x = share_clear(std::move(mixed));
      } else {
        out.x = wanted_rows(batch, mixed);
        out.residual = wanted_rows(batch, *flow.residual);
        if (flow.per_layer) out.per_layer = wanted_rows(batch, *flow.per_layer);
        wipe(mixed.data(), mixed.rows() * mixed.cols() * sizeof(float));
      }
      out.sent = context.now();
      if (out.x->rows() == 0)
        self->send(drain, std::move(out));
      else
        self->send(next, std::move(out));
    });
  };

  auto admit_ready = [state, process] {
    for (bool moved = true; moved;) {
      moved = false;
      for (auto it = state->early.begin(); it != state->early.end(); ++it) {
        if (!state->mixer->ready(*it->batch)) continue;
        const Flow ready = std::move(*it);
        state->early.erase(it);
        process(ready);
        moved = true;
        break;
      }
    }
  };

  return {[state, admit_ready](const Flow& flow) {
            state->early.push_back(flow);
            admit_ready();
          },
          [state, admit_ready](const Abandon& abandon) {
            state->mixer->abandon(abandon.sequence);
            admit_ready();
          },
          [state](const Forget& forget) { state->mixer->forget(forget.sequence); }};
}

} // namespace

AttentionStage spawn_mixer(caf::actor_system& system, StageContext context,
                           std::unique_ptr<TokenMixer> mixer, Stage next, SamplerStage drain) {
  auto state = std::make_shared<State>();
  state->mixer = std::move(mixer);
  return system.spawn(mixer_stage, std::move(context), std::move(state), std::move(next),
                      std::move(drain));
}

} // namespace talaria::enclave
