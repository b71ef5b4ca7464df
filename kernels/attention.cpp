#include "kernels/attention.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/elementwise.hpp"

namespace talaria::kernels {

namespace {

constexpr float kMaxInteger = 127;

u16 to_bf16(float x) {
  const u32 bits = std::bit_cast<u32>(x);
  return static_cast<u16>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

/// The nearest integer, ties to even, of |x| < 2^22, without the branches of std::nearbyint.
float nearest(float x) {
  constexpr float kUnit = 0x1.8p23f;
  return (x + kUnit) - kUnit;
}

/// Neither a branch nor an address depends on the numbers. The scale is 0, as the integers are,
/// where 127 / largest would overflow.
float pack_int8(const float* x, std::size_t n, i8* out) {
  float largest = 0;
  for (std::size_t i = 0; i < n; ++i) largest = larger(std::fabs(x[i]), largest);
  constexpr float kLeast = std::numeric_limits<float>::min() * kMaxInteger;
  const u32 usable = u32{0} - static_cast<u32>(largest >= kLeast);
  const auto if_usable = [usable](float value) {
    return std::bit_cast<float>(std::bit_cast<u32>(value) & usable);
  };
  const float inverse = if_usable(kMaxInteger / largest);
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<i8>(nearest(x[i] * inverse));
  return if_usable(largest / kMaxInteger);
}

/// One call of attend().
class Attending {
public:
  Attending(const KernelSet& set, const AttentionQueries& queries, const AttentionRule& rule,
            KvFormat format, float* scratch)
      : set_(set), queries_(queries), rule_(rule), format_(format),
        stride_(round_up(*std::max_element(queries.counts.begin(), queries.counts.end()) +
                             (queries.sinks.empty() ? 0 : 1),
                         16)),
        value_dim_(rule.value_dim == 0 ? rule.head_dim : rule.value_dim), scores_(scratch),
        rows_(scratch + queries.q.size() * stride_) {}

  void run(std::span<const KvPiece> pieces) {
    over(pieces, [this](const KvPiece& piece, std::size_t at) {
      const float* k = as_floats(piece.k, piece.k_scales, piece.count, rule_.head_dim);
      set_.attend_scores(queries_.q.data(), left_.data(), size(), k, rule_.head_dim, rule_.scale,
                         scores_ + at, stride_);
    });
    for (std::size_t i = 0; i < size(); ++i) {
      totals_[i] = weights(i);
      std::fill_n(queries_.out[i], value_dim_, 0.0f);
    }
    over(pieces, [this](const KvPiece& piece, std::size_t at) {
      const float* v = as_floats(piece.v, piece.v_scales, piece.count, value_dim_);
      if (rule_.soft_cap == 0)
        set_.attend_values(scores_ + at, stride_, left_.data(), size(), v, value_dim_,
                           queries_.out.data());
      else
        add_values(at, v);
    });
    for (std::size_t i = 0; i < size(); ++i)
      for (std::size_t d = 0; d < value_dim_; ++d) queries_.out[i][d] /= totals_[i];
  }

private:
  std::size_t size() const { return queries_.q.size(); }

  /// visit(piece, its first position) for the pieces that a query sees; left_ says how far each
  /// query sees into it.
  template <class Visit>
  void over(std::span<const KvPiece> pieces, Visit visit) {
    std::size_t at = 0;
    for (KvPiece piece : pieces) {
      std::size_t most = 0;
      for (std::size_t i = 0; i < size(); ++i) {
        const std::size_t count = queries_.counts[i];
        left_[i] = count <= at ? 0 : std::min(count - at, piece.count);
        most = std::max(most, left_[i]);
      }
      if (most == 0) return;
      piece.count = most;
      visit(piece, at);
      at += most;
    }
  }

  const float* as_floats(const void* packed, const float* scales, std::size_t count,
                         std::size_t n) {
    if (format_ == KvFormat::fp32) return static_cast<const float*>(packed);
    if (format_ == KvFormat::bf16)
      set_.widen_bf16(static_cast<const u16*>(packed), rows_, count * n);
    else
      for (std::size_t p = 0; p < count; ++p)
        set_.widen_i8(static_cast<const i8*>(packed) + p * n, scales[p], rows_ + p * n, n);
    return rows_;
  }

  float weights(std::size_t query) const {
    float* const scores = scores_ + query * stride_;
    std::size_t count = queries_.counts[query];
    if (rule_.soft_cap != 0) soft_cap(scores, count, rule_.soft_cap);
    if (!queries_.sinks.empty()) scores[count++] = queries_.sinks[query];
    if (rule_.soft_cap == 0) return set_.softmax_weights(scores, count);
    float most = scores[0];
    for (std::size_t p = 1; p < count; ++p) most = larger(scores[p], most);
    float total = 0;
    for (std::size_t p = 0; p < count; ++p) {
      scores[p] = canonical_exp(scores[p] - most);
      total += scores[p];
    }
    return total;
  }

  void add_values(std::size_t at, const float* v) const {
    for (std::size_t i = 0; i < size(); ++i) {
      const float* w = scores_ + i * stride_ + at;
      float* out = queries_.out[i];
      for (std::size_t p = 0; p < left_[i]; ++p)
        for (std::size_t d = 0; d < value_dim_; ++d) out[d] += w[p] * v[p * value_dim_ + d];
    }
  }

  const KernelSet& set_;
  const AttentionQueries& queries_;
  const AttentionRule& rule_;
  KvFormat format_;
  std::size_t stride_; ///< of the scores of one query
  std::size_t value_dim_;
  float* scores_;
  float* rows_; ///< a piece as fp32
  std::array<std::size_t, kMaxQueries> left_{};
  std::array<float, kMaxQueries> totals_{};
};

} // namespace

const char* to_string(KvFormat format) noexcept {
  switch (format) {
  case KvFormat::fp32:
    return "fp32";
  case KvFormat::bf16:
    return "bf16";
  case KvFormat::int8:
    return "int8";
  }
  return "fp32";
}

void pack_head(KvFormat format, const float* x, std::size_t n, void* out, float* scale) noexcept {
  switch (format) {
  case KvFormat::fp32:
    std::copy_n(x, n, static_cast<float*>(out));
    return;
  case KvFormat::bf16:
    std::transform(x, x + n, static_cast<u16*>(out), to_bf16);
    return;
  case KvFormat::int8:
    *scale = pack_int8(x, n, static_cast<i8*>(out));
    return;
  }
}

std::size_t attention_scratch(KvFormat format, std::size_t queries, std::size_t positions,
                              std::size_t piece, std::size_t head_dim) noexcept {
  return queries * round_up(positions, 16) + (format == KvFormat::fp32 ? 0 : piece * head_dim);
}

void attend(const KernelSet& set, const AttentionQueries& queries, const AttentionRule& rule,
            KvFormat format, std::span<const KvPiece> pieces, float* scratch) {
  Attending(set, queries, rule, format, scratch).run(pieces);
}

} // namespace talaria::kernels
