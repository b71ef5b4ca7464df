#include "actors/enclave/attention_stage.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <deque>
#include <memory>
#include <set>
#include <vector>

#include "kernels/kernel_set.hpp"

namespace talaria::enclave {

namespace {

/// Multiply-adds of scores (and as many of values) that take longer than waking a thread.
constexpr std::size_t kWorthSharing = std::size_t{1} << 21;

/// The arithmetic of one layer's attention over its cache.
class LayerAttention {
public:
  LayerAttention(AttentionShape shape, std::shared_ptr<AttentionTeam> team)
      : shape_(std::move(shape)), team_(std::move(team)),
        cache_(shape_.kv_heads, shape_.head_dim, shape_.window),
        scale_(1.0F / std::sqrt(static_cast<float>(shape_.head_dim))) {}

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
      const u32 together = rows_together();
      for (u32 i = 0; i < segment.count && !abandoned_.contains(segment.sequence); i += together)
        attend_rows(batch, segment, i, std::min(together, segment.count - i), row, qkv, out);
      row += segment.count;
    }
    return out;
  }

private:
  /// Rows of a sequence that share one reading of its keys and values. With a window each row sees
  /// another part of them.
  u32 rows_together() const {
    constexpr std::size_t kRows = 8;
    const std::size_t fitting = kernels::kMostQueries / group();
    return shape_.window != 0 ? 1 : static_cast<u32>(std::clamp<std::size_t>(fitting, 1, kRows));
  }
  std::size_t group() const { return shape_.heads / shape_.kv_heads; } ///< queries of a key

  /// Rows [first, first + count) of a segment that begins at row `at` of the micro-batch.
  void attend_rows(const MicroBatch& batch, const Segment& segment, u32 first, u32 count,
                   std::size_t at, const Matrix<float>& qkv, Matrix<float>& out) {
    const std::size_t d = shape_.head_dim;
    const std::size_t width = work_width();
    if (work_.size() < count * width) work_ = SecretBuffer<float>(count * width);
    for (u32 i = 0; i < count; ++i) {
      const std::size_t row = at + first + i;
      float* q = work_.data() + i * width;
      float* k = q + shape_.heads * d;
      std::copy_n(qkv.row(row), width, q);
      prepare_heads(q, shape_.heads, shape_.q_norm, batch.rope_cos.row(row),
                    batch.rope_sin.row(row));
      prepare_heads(k, shape_.kv_heads, shape_.k_norm, batch.rope_cos.row(row),
                    batch.rope_sin.row(row));
      cache_.append(segment.sequence, k, k + shape_.kv_heads * d);
    }
    const MatrixView<float> to{out.row(at + first), count, out.cols()};
    const auto heads = [&](std::size_t begin, std::size_t end) {
      const ScratchPool::Loan scratch(team_->scratch);
      for (std::size_t head = begin; head < end; ++head)
        for (std::size_t part = 0; part < group(); part += kernels::kMostQueries)
          attend_head(segment, head, part, first, count, to, *scratch);
    };
    const std::size_t seen =
        cache_.view(segment.sequence, 0, segment.start + first + count - 1).count;
    if (count * seen * shape_.heads * d >= kWorthSharing)
      team_->helpers.parallel_for_if_free(shape_.kv_heads, 1, heads);
    else
      heads(0, shape_.kv_heads);
  }

  /// Queries of one key/value head: those from `part` on of its group, for each of the rows.
  void attend_head(const Segment& segment, std::size_t head, std::size_t part, u32 first, u32 count,
                   MatrixView<float> out, SecretBuffer<float>& scratch) const {
    const std::size_t d = shape_.head_dim;
    const std::size_t width = work_width();
    const std::size_t queries = std::min(group() - part, kernels::kMostQueries);
    const auto last = cache_.view(segment.sequence, head, segment.start + first + count - 1);
    if (scratch.size() < count * queries * round_up(last.count, 16))
      scratch = SecretBuffer<float>(2 * count * queries * round_up(last.count, 16));
    std::array<const float*, kernels::kMostQueries> q;
    std::array<float*, kernels::kMostQueries> to;
    std::array<std::size_t, kernels::kMostQueries> counts;
    std::size_t n = 0;
    for (u32 i = 0; i < count; ++i)
      for (std::size_t h = 0; h < queries; ++h, ++n) {
        const std::size_t column = (head * group() + part + h) * d;
        q[n] = work_.data() + i * width + column;
        to[n] = out.row(i) + column;
        counts[n] = last.count - (count - 1 - i);
      }
    kernels::active_kernels().attend_block(q.data(), counts.data(), n, last.k, last.v, d, scale_,
                                           scratch.data(), to.data());
  }

  std::size_t work_width() const { return (shape_.heads + 2 * shape_.kv_heads) * shape_.head_dim; }

  void prepare_heads(float* x, std::size_t heads, const std::vector<float>& gain, const float* cos,
                     const float* sin) const {
    const auto& set = kernels::active_kernels();
    for (std::size_t h = 0; h < heads; ++h, x += shape_.head_dim) {
      if (!gain.empty()) set.rms_norm(x, gain.data(), x, shape_.head_dim, shape_.eps);
      set.rope(x, cos, sin, shape_.head_dim);
    }
  }

  AttentionShape shape_;
  std::shared_ptr<AttentionTeam> team_;
  KvCache cache_;
  std::set<SequenceId> abandoned_; ///< over, with rows still under way
  float scale_;
  SecretBuffer<float> work_; ///< q, k, v of the rows under way
};

/// The rows of `m` whose logits are wanted, in order, and behind them zeros as padding.
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
  return share_clear(std::move(out));
}

bool every_row_goes_on(const MicroBatch& batch) {
  return batch.wanted_rows() == batch.rows - batch.padding && batch.head_padding == batch.padding;
}

struct State {
  State(AttentionShape shape, std::shared_ptr<AttentionTeam> team)
      : attention(std::move(shape), std::move(team)) {}
  LayerAttention attention;
  std::deque<Flow> early; ///< micro-batches that overtook the rows before them
};

} // namespace

AttentionStage::behavior_type attention_stage(AttentionStage::pointer self, StageContext context,
                                              AttentionShape shape,
                                              std::shared_ptr<AttentionTeam> team, Stage next,
                                              SamplerStage drain) {
  name_exceptions_by_kind(self);
  auto state = std::make_shared<State>(std::move(shape), std::move(team));

  auto process = [self, context, next, drain, state](const Flow& flow) {
    const MicroBatch& batch = *flow.batch;
    guarded(self, context, batch.id, [&] {
      const auto span =
          context.span(telemetry::SpanKind::attention, batch, flow.x->rows(), flow.sent);
      Flow out = flow;
      Matrix<float> heads = state->attention.run(batch, *flow.x);
      if (!state->attention.shape().last_layer || every_row_goes_on(batch)) {
        out.x = share_clear(std::move(heads));
      } else {
        out.x = wanted_rows(batch, heads);
        out.residual = wanted_rows(batch, *flow.residual);
        wipe(heads.data(), heads.rows() * heads.cols() * sizeof(float));
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
                               AttentionShape shape, std::shared_ptr<AttentionTeam> team,
                               Stage next, SamplerStage drain) {
  return system.spawn(attention_stage, std::move(context), std::move(shape), std::move(team),
                      std::move(next), std::move(drain));
}

} // namespace talaria::enclave
