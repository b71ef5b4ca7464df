#include "actors/enclave/attention_stage.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <memory>
#include <span>
#include <vector>

#include "actors/enclave/token_mixer.hpp"
#include "kernels/attention.hpp"
#include "kernels/kernel_set.hpp"

namespace talaria::enclave {

namespace {

/// Multiply-adds of scores (and as many of values) that take longer than waking a thread.
constexpr std::size_t kWorthSharing = std::size_t{1} << 21;

constexpr std::size_t kMaxTogether = 8; ///< rows of a sequence that read its keys at once

/// The arithmetic of one layer's attention.
class LayerAttention final : public TokenMixer {
public:
  LayerAttention(AttentionShape shape, std::shared_ptr<AttentionTeam> team)
      : TokenMixer(shape.last_layer), shape_(shape.attention), heads_(std::move(shape.heads)),
        sinks_(std::move(shape.sinks)), team_(std::move(team)), view_(shape.layout, shape.layer),
        format_(shape.layout->format()) {}

  /// out [rows, heads * value_dim] from qkv [rows, arch::Attention::columns()].
  Matrix<float> run(const MicroBatch& batch, const Matrix<float>& qkv,
                    const model::RowPositions& positions) override {
    positions_ = &positions;
    Matrix<float> out(qkv.rows(), shape_.out_dim());
    const Longest longest = longest_of(batch);
    shared_from_ = batch.even ? longest.positions : 0;
    std::size_t row = 0;
    for (const Segment& segment : batch.segments) {
      const u32 together = rows_together();
      for (u32 i = 0; i < segment.count && !is_abandoned(segment.sequence); i += together)
        attend_rows(segment, i, std::min(together, segment.count - i), row, qkv, out);
      row += segment.count;
    }
    if (batch.even && longest.positions != 0) even_out(batch, longest, qkv);
    for (std::size_t r = 0; r < qkv.rows(); ++r) heads_->apply_gate(qkv.row(r), out.row(r));
    return out;
  }

private:
  /// The longest context of a micro-batch.
  struct Longest {
    const kv::BlockList* blocks = nullptr;
    u32 last = 0;              ///< its last position
    std::size_t positions = 0; ///< that a query there sees; 0: nobody attends to anything
  };
  std::size_t seen_at(std::size_t position) const {
    return shape_.window == 0 ? position + 1 : std::min<std::size_t>(position + 1, shape_.window);
  }
  Longest longest_of(const MicroBatch& batch) const {
    Longest longest;
    for (const Segment& s : batch.segments) {
      const u32 last = s.start + s.count - 1;
      if (!is_abandoned(s.sequence) && seen_at(last) > longest.positions)
        longest = {s.blocks.get(), last, seen_at(last)};
    }
    if (batch.even && batch.has_drafts() && longest.positions != 0) {
      // How many guesses were right would show in how far a context has come. Not by what is read:
      // a block is there as a whole.
      longest.last |= kv::kBlockPositions - 1;
      longest.positions = seen_at(longest.last);
    }
    return longest;
  }

  /// Attends to what is missing in each row up to the longest context, and throws the result away:
  /// the time that a micro-batch takes follows from its size and that context alone. Rows of
  /// padding are prepared as others are, and their keys and values stored where nobody reads them.
  void even_out(const MicroBatch& batch, const Longest& longest, const Matrix<float>& qkv) {
    std::vector<std::size_t> missing;
    for (const Segment& s : batch.segments)
      for (u32 i = 0; i < s.count; ++i)
        missing.push_back(is_abandoned(s.sequence) ? longest.positions
                                                   : longest.positions - seen_at(s.start + i));
    missing.resize(batch.rows, longest.positions);
    const bool chunks = std::any_of(batch.segments.begin(), batch.segments.end(),
                                    [](const Segment& s) { return s.count > 1; });
    const std::size_t together = chunks ? rows_together() : 1;
    for (std::size_t row = 0; row < batch.rows;) {
      const bool padding = row >= batch.rows - batch.padding;
      const std::size_t end = padding ? batch.rows : batch.rows - batch.padding;
      const std::size_t count = std::min(together, end - row);
      if (padding) prepare_padding(row, count, qkv);
      attend_in_vain(longest, std::span(missing).subspan(row, count));
      row += count;
    }
  }

  void prepare_padding(std::size_t first, std::size_t count, const Matrix<float>& qkv) {
    for (std::size_t i = 0; i < count; ++i) {
      const float* k = prepare(first + i, i, count, qkv);
      if (shape_.reads_layer) continue;
      view_.write_nowhere(k, k + shape_.kv_dim(), nowhere_);
    }
  }

  /// With the queries that are prepared, whoever they are of.
  void attend_in_vain(const Longest& longest, std::span<const std::size_t> missing) {
    std::vector<std::size_t> wanted;
    std::copy_if(missing.begin(), missing.end(), std::back_inserter(wanted),
                 [](std::size_t n) { return n != 0; });
    if (wanted.empty()) return;
    const std::size_t width = shape_.out_dim();
    if (vain_.size() < wanted.size() * width) vain_ = SecretBuffer<float>(wanted.size() * width);
    make_room_for(wanted.size());
    attend_queries(*longest.blocks, longest.last, wanted, {vain_.data(), wanted.size(), width});
  }

  void make_room_for(std::size_t rows) {
    if (work_.size() < rows * work_width()) work_ = SecretBuffer<float>(rows * work_width());
  }

  /// q, k and v of one row of the micro-batch, rotated, as the `i`-th of `count` that are together.
  /// Returns where k and, behind it, v are.
  float* prepare(std::size_t row, std::size_t i, std::size_t count, const Matrix<float>& qkv) {
    const std::size_t width = work_width();
    make_room_for(count);
    float* q = work_.data() + i * width;
    float* k = q + shape_.q_dim();
    heads_->prepare_row(qkv.row(row), q, *positions_, row);
    return k;
  }

  /// Rows of a sequence that share one reading of its keys and values. With a window each row sees
  /// another part of them.
  u32 rows_together() const {
    const std::size_t fitting = kernels::kMaxQueries / group();
    return shape_.window != 0 ? 1
                              : static_cast<u32>(std::clamp<std::size_t>(fitting, 1, kMaxTogether));
  }
  std::size_t group() const { return shape_.heads / shape_.kv_heads; } ///< queries of a key

  /// Rows [first, first + count) of a segment that begins at row `at` of the micro-batch.
  void attend_rows(const Segment& segment, u32 first, u32 count, std::size_t at,
                   const Matrix<float>& qkv, Matrix<float>& out) {
    for (u32 i = 0; i < count; ++i) {
      const float* k = prepare(at + first + i, i, count, qkv);
      if (shape_.reads_layer) continue;
      view_.write(*segment.blocks, segment.start + first + i, k, k + shape_.kv_dim());
    }
    has_come_to(segment.sequence, segment.start + first + count);
    const u32 last = segment.start + first + count - 1;
    std::array<std::size_t, kMaxTogether> counts;
    for (u32 i = 0; i < count; ++i) counts[i] = seen_at(last) - (count - 1 - i);
    attend_queries(*segment.blocks, last, {counts.data(), count},
                   {out.row(at + first), count, out.cols()});
  }

  /// All heads of the rows that are prepared; row i attends to the first counts[i] of the positions
  /// that a query at position `last` of the sequence sees.
  void attend_queries(const kv::BlockList& blocks, u32 last, std::span<const std::size_t> counts,
                      MatrixView<float> to) {
    const auto heads = [&](std::size_t begin, std::size_t end) {
      const ScratchPool::Loan scratch(team_->scratch);
      std::vector<kernels::KvPiece> pieces;
      for (std::size_t head = begin; head < end; ++head) {
        pieces.clear();
        view_.pieces(blocks, head, last, pieces);
        for (std::size_t part = 0; part < group(); part += kernels::kMaxQueries)
          attend_head(pieces, head, part, counts, to, *scratch);
      }
    };
    const std::size_t seen = std::max(shared_from_, seen_at(last));
    if (counts.size() * seen * shape_.heads * shape_.head_dim >= kWorthSharing)
      team_->helpers.parallel_for_if_free(shape_.kv_heads, 1, heads);
    else
      heads(0, shape_.kv_heads);
  }

  /// Queries of one key/value head: those from `part` on of its group, for each of the rows.
  void attend_head(std::span<const kernels::KvPiece> pieces, std::size_t head, std::size_t part,
                   std::span<const std::size_t> counts, MatrixView<float> out,
                   SecretBuffer<float>& scratch) const {
    const std::size_t queries = std::min(group() - part, kernels::kMaxQueries);
    std::array<const float*, kernels::kMaxQueries> q;
    std::array<float*, kernels::kMaxQueries> to;
    std::array<std::size_t, kernels::kMaxQueries> each;
    std::array<float, kernels::kMaxQueries> sinks;
    std::size_t n = 0;
    for (std::size_t i = 0; i < counts.size(); ++i)
      for (std::size_t h = 0; h < queries; ++h, ++n) {
        const std::size_t query = head * group() + part + h;
        q[n] = work_.data() + i * work_width() + query * shape_.head_dim;
        to[n] = out.row(i) + query * shape_.v_head_dim();
        each[n] = counts[i];
        sinks[n] = sinks_.empty() ? 0 : sinks_[query];
      }
    const std::size_t most = *std::max_element(counts.begin(), counts.end());
    const std::size_t needed =
        kernels::attention_scratch(format_, n, most + (sinks_.empty() ? 0 : 1), kv::kBlockPositions,
                                   std::max(shape_.head_dim, shape_.v_head_dim()));
    if (scratch.size() < needed) scratch = SecretBuffer<float>(2 * needed);
    kernels::AttentionQueries asked{{q.data(), n}, {each.data(), n}, {to.data(), n}};
    if (!sinks_.empty()) asked.sinks = {sinks.data(), n};
    kernels::attend(kernels::active_kernels(), asked,
                    {shape_.head_dim, shape_.scale, shape_.soft_cap, shape_.v_head_dim()}, format_,
                    pieces, scratch.data());
  }

  std::size_t work_width() const { return shape_.q_dim() + shape_.kv_dim() + shape_.v_dim(); }

  arch::Attention shape_;
  std::shared_ptr<const model::HeadPreparation> heads_;
  std::vector<float> sinks_;                       ///< by head, or none
  const model::RowPositions* positions_ = nullptr; ///< of the micro-batch under way
  std::shared_ptr<AttentionTeam> team_;
  kv::LayerView view_;
  kv::Format format_;
  std::size_t shared_from_ = 0; ///< positions that decide whether threads share the heads of a row
  SecretBuffer<float> work_;    ///< q, k, v of the rows under way
  SecretBuffer<float> nowhere_; ///< where keys and values of padding go
  SecretBuffer<float> vain_;    ///< and what comes of their attention
};

} // namespace

AttentionStage spawn_attention(caf::actor_system& system, StageContext context,
                               AttentionShape shape, std::shared_ptr<AttentionTeam> team,
                               Stage next, SamplerStage drain) {
  return spawn_mixer(system, std::move(context), make_attention(std::move(shape), std::move(team)),
                     std::move(next), std::move(drain));
}

std::unique_ptr<TokenMixer> make_attention(AttentionShape shape,
                                           std::shared_ptr<AttentionTeam> team) {
  return std::make_unique<LayerAttention>(std::move(shape), std::move(team));
}

} // namespace talaria::enclave
