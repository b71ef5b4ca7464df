#include "actors/enclave/attention_stage.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <memory>
#include <set>

#include "kernels/kernel_set.hpp"

namespace talaria::enclave {

namespace {

/// The arithmetic of one layer's attention over its cache.
class LayerAttention {
public:
  explicit LayerAttention(AttentionShape shape)
      : shape_(std::move(shape)), cache_(shape_.kv_heads, shape_.head_dim, shape_.window),
        scale_(1.0F / std::sqrt(static_cast<float>(shape_.head_dim))),
        work_((shape_.heads + 2 * shape_.kv_heads) * shape_.head_dim) {}

  const AttentionShape& shape() const { return shape_; }

  /// True if every segment continues its sequence exactly where the cache ends.
  bool ready(const MicroBatch& batch) const {
    return std::all_of(batch.segments.begin(), batch.segments.end(), [this](const Segment& s) {
      return abandoned_.contains(s.sequence) || cache_.length(s.sequence) == s.start;
    });
  }

  void abandon(SequenceId sequence) {
    cache_.forget(sequence);
    abandoned_.insert(sequence);
  }
  void forget(SequenceId sequence) {
    cache_.forget(sequence);
    abandoned_.erase(sequence);
  }

  /// out [rows, heads * head_dim] from qkv [rows, (heads + 2 kv_heads) * head_dim].
  Matrix<float> run(const MicroBatch& batch, const Matrix<float>& qkv) {
    Matrix<float> out(qkv.rows(), shape_.heads * shape_.head_dim);
    std::size_t row = 0;
    for (const Segment& segment : batch.segments) {
      if (!abandoned_.contains(segment.sequence))
        for (u32 i = 0; i < segment.count; ++i)
          one_row(batch, segment.sequence, segment.start + i, row + i, qkv.row(row + i),
                  out.row(row + i));
      row += segment.count;
    }
    return out;
  }

private:
  void one_row(const MicroBatch& batch, SequenceId sequence, std::size_t position, std::size_t row,
               const float* qkv, float* out) {
    const auto& set = kernels::active_kernels();
    const std::size_t d = shape_.head_dim;
    std::copy_n(qkv, work_.size(), work_.data());
    float* q = work_.data();
    float* k = q + shape_.heads * d;
    const float* v = k + shape_.kv_heads * d;
    const float* cos = batch.rope_cos.row(row);
    const float* sin = batch.rope_sin.row(row);
    prepare_heads(q, shape_.heads, shape_.q_norm, cos, sin);
    prepare_heads(k, shape_.kv_heads, shape_.k_norm, cos, sin);
    cache_.append(sequence, k, v);
    const std::size_t group = shape_.heads / shape_.kv_heads;
    for (std::size_t head = 0; head < shape_.heads; ++head) {
      const auto seen = cache_.view(sequence, head / group, position);
      if (scratch_.size() < round_up(seen.count, 16))
        scratch_ = SecretBuffer<float>(round_up(seen.count * 2, 16));
      set.attend(q + head * d, seen.k, seen.v, seen.count, d, scale_, scratch_.data(),
                 out + head * d);
    }
  }

  void prepare_heads(float* x, std::size_t heads, const std::vector<float>& gain, const float* cos,
                     const float* sin) const {
    const auto& set = kernels::active_kernels();
    for (std::size_t h = 0; h < heads; ++h, x += shape_.head_dim) {
      if (!gain.empty()) set.rms_norm(x, gain.data(), x, shape_.head_dim, shape_.eps);
      set.rope(x, cos, sin, shape_.head_dim);
    }
  }

  AttentionShape shape_;
  KvCache cache_;
  std::set<SequenceId> abandoned_; ///< over, with rows still under way
  float scale_;
  SecretBuffer<float> work_;
  SecretBuffer<float> scratch_;
};

/// The rows of `m` whose logits are wanted, in order.
ClearTensor wanted_rows(const MicroBatch& batch, const Matrix<float>& m) {
  Matrix<float> out(batch.wanted_rows(), m.cols());
  std::size_t row = 0;
  std::size_t to = 0;
  for (const Segment& s : batch.segments) {
    const u32 wanted = s.wanted_rows();
    for (u32 i = s.count - wanted; i < s.count; ++i)
      std::copy_n(m.row(row + i), m.cols(), out.row(to++));
    row += s.count;
  }
  return share_clear(std::move(out));
}

struct State {
  LayerAttention attention;
  std::deque<Flow> early; ///< micro-batches that overtook the rows before them
};

} // namespace

AttentionStage::behavior_type attention_stage(AttentionStage::pointer self, StageContext context,
                                              AttentionShape shape, Stage next,
                                              SamplerStage drain) {
  auto state = std::make_shared<State>(State{LayerAttention(std::move(shape)), {}});

  auto process = [self, context, next, drain, state](const Flow& flow) {
    const MicroBatch& batch = *flow.batch;
    guarded(self, context, batch.id, [&] {
      const auto span = context.span(telemetry::SpanKind::attention, batch, flow.x->rows());
      Flow out = flow;
      Matrix<float> heads = state->attention.run(batch, *flow.x);
      if (!state->attention.shape().last_layer || batch.wanted_rows() == batch.rows) {
        out.x = share_clear(std::move(heads));
      } else {
        out.x = wanted_rows(batch, heads);
        out.residual = wanted_rows(batch, *flow.residual);
        wipe(heads.data(), heads.rows() * heads.cols() * sizeof(float));
      }
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
        if (!state->attention.ready(*it->batch)) continue;
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
            state->attention.abandon(abandon.sequence);
            admit_ready();
          },
          [state](const Forget& forget) { state->attention.forget(forget.sequence); }};
}

AttentionStage spawn_attention(caf::actor_system& system, StageContext context,
                               AttentionShape shape, Stage next, SamplerStage drain) {
  return system.spawn(attention_stage, std::move(context), std::move(shape), std::move(next),
                      std::move(drain));
}

} // namespace talaria::enclave
