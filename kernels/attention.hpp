#pragma once

#include <cstddef>
#include <span>

#include "core/integers.hpp"
#include "kernels/kernel_set.hpp"

namespace talaria::kernels {

/// How keys and values are stored. Arithmetic on them is fp32 always.
enum class KvFormat : u8 {
  fp32, ///< as they were computed
  bf16, ///< rounded to the nearest, ties to even
  int8, ///< x[i] = scale * integer, with one scale for each head and position
};
const char* to_string(KvFormat format) noexcept;

/// Bytes of one number; the scales of int8 are stored apart.
constexpr std::size_t bytes_per_number(KvFormat format) noexcept {
  return format == KvFormat::fp32 ? 4 : format == KvFormat::bf16 ? 2 : 1;
}

/// Writes the n numbers of one head and position to `out` and, with int8, their scale, which is the
/// largest magnitude / 127, to `scale`. Every bf16 and every multiple of a scale within its range
/// comes back as it was.
void pack_head(KvFormat format, const float* x, std::size_t n, void* out, float* scale) noexcept;

/// Consecutive positions of one key/value head.
struct KvPiece {
  const void* k = nullptr;         ///< [count][head_dim]
  const void* v = nullptr;         ///< [count][value_dim]
  const float* k_scales = nullptr; ///< [count], with int8
  const float* v_scales = nullptr;
  std::size_t count = 0;
};

/// Queries that share keys and values; query i attends to the first counts[i] positions.
struct AttentionQueries {
  std::span<const float* const> q;     ///< [head_dim] each; at most kMaxQueries
  std::span<const std::size_t> counts; ///< >= 1, at most the positions of all pieces
  std::span<float* const> out;         ///< [value_dim] each; none overlaps another or a query
  std::span<const float> sinks = {};   ///< one each, or none at all
};

struct AttentionRule {
  std::size_t head_dim = 0;
  float scale = 1;           ///< of scores
  float soft_cap = 0;        ///< c: scores become c tanh(score / c); 0: they stay
  std::size_t value_dim = 0; ///< of a value; 0: head_dim
};

/// Numbers of scratch that attend() needs. `positions`: the largest of counts, one more with sinks;
/// `piece`: positions of the longest piece; `head_dim`: of keys or values, the larger one.
std::size_t attention_scratch(KvFormat format, std::size_t queries, std::size_t positions,
                              std::size_t piece, std::size_t head_dim) noexcept;

/// Softmax attention over the positions of `pieces` in their order:
///   score[p] = dot(q, k[p]) scale;  m = max score;  w[p] = exp(score[p] - m);
///   s = 16-lane sum of w;  out[d] = (sum_p w[p] v[p][d], p in order by fma from +0) / s
/// A sink is one more score behind the others, which takes part in m and s and has no value.
/// A soft cap comes between scores and maximum; s is then a plain sum in order, and products are
/// rounded before they are added. How positions are cut into pieces changes no bit. Each piece is
/// read once for all queries.
void attend(const KernelSet& set, const AttentionQueries& queries, const AttentionRule& rule,
            KvFormat format, std::span<const KvPiece> pieces, float* scratch);

} // namespace talaria::kernels
