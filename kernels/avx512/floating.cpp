#include <cmath>

#include "kernels/avx512/avx512.hpp"
#include "kernels/avx512/vector.hpp"
#include "kernels/reference/exp_constants.hpp"

// The sixteen lanes of the canonical sums are the lanes of one vector. Lanes that a short tail does
// not reach keep their value: adding zero could turn -0 into +0.

namespace talaria::kernels::avx512 {

namespace {

/// Calls step(i, mask) for i = 0, 16, ...; the mask covers what is left.
template <class Step>
TALARIA_INLINE void by_sixteens(std::size_t n, Step step) {
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16) step(i, static_cast<__mmask16>(0xffff));
  if (i < n) step(i, first_lanes16(n - i));
}

TALARIA_INLINE F load(const float* p, __mmask16 live) {
  return _mm512_maskz_loadu_ps(live, p);
}

/// s[l] += s[l + 8], then 4, 2, 1.
TALARIA_INLINE float fold(F s) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(s), _mm512_extractf32x8_ps(s, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

/// Folds sixteen vectors at once; lane p of the result is fold(s[p]).
TALARIA_INLINE F fold16(const F* s) {
  F two[8];
  for (int i = 0; i < 8; ++i) { // blocks of four lanes: two of s[a], two of s[b]
    const F a = s[i / 2 % 4 + 8 * (i % 2)], b = s[i / 2 % 4 + 8 * (i % 2) + 4];
    two[i] = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
  }
  F four[4]; // four[m]: one block of each of s[m], s[m + 4], s[m + 8], s[m + 12]
  for (int m = 0; m < 4; ++m)
    four[m] = _mm512_add_ps(_mm512_shuffle_f32x4(two[2 * m], two[2 * m + 1], 0x88),
                            _mm512_shuffle_f32x4(two[2 * m], two[2 * m + 1], 0xdd));
  const F left = _mm512_add_ps(_mm512_shuffle_ps(four[0], four[1], 0x44),
                               _mm512_shuffle_ps(four[0], four[1], 0xee));
  const F right = _mm512_add_ps(_mm512_shuffle_ps(four[2], four[3], 0x44),
                                _mm512_shuffle_ps(four[2], four[3], 0xee));
  return _mm512_add_ps(_mm512_shuffle_ps(left, right, 0x88), _mm512_shuffle_ps(left, right, 0xdd));
}

TALARIA_INLINE F exp16(F x) {
  using namespace exp_constants;
  x = _mm512_max_ps(x, _mm512_set1_ps(kLowest));
  x = _mm512_min_ps(x, _mm512_set1_ps(kHighest));
  const F n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(kLog2E)),
                                   _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  F r = _mm512_fnmadd_ps(n, _mm512_set1_ps(kLn2High), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(kLn2Low), r);
  F p = _mm512_set1_ps(kPolynomial[0]);
#pragma GCC unroll 8
  for (std::size_t i = 1; i < sizeof(kPolynomial) / sizeof(float); ++i)
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kPolynomial[i]));
  return _mm512_scalef_ps(p, n); // rounds once, as the two factors of canonical_exp do
}

/// Scores of sixteen positions; those from `count` on repeat the last one.
TALARIA_INLINE F scores16(const float* q, const float* k, std::size_t count, std::size_t head_dim) {
  F s[16];
  const float* row[16];
#pragma GCC unroll 16
  for (std::size_t p = 0; p < 16; ++p) {
    row[p] = k + (p < count ? p : count - 1) * head_dim;
    s[p] = _mm512_setzero_ps();
  }
  by_sixteens(
      head_dim, [&](std::size_t d, __mmask16 live) __attribute__((always_inline)) {
        const F x = load(q + d, live);
#pragma GCC unroll 16
        for (std::size_t p = 0; p < 16; ++p)
          s[p] = _mm512_mask3_fmadd_ps(x, load(row[p] + d, live), s[p], live);
      });
  return fold16(s);
}

/// w[p] = exp(w[p] - the largest); returns their sum.
TALARIA_INLINE float exponentiate(float* w, std::size_t count) {
  F most = _mm512_set1_ps(-INFINITY);
  by_sixteens(
      count, [&](std::size_t p, __mmask16 live) __attribute__((always_inline)) {
        most = _mm512_mask_max_ps(most, live, most, load(w + p, live));
      });
  const F top = _mm512_set1_ps(_mm512_reduce_max_ps(most));
  F sum = _mm512_setzero_ps();
  by_sixteens(
      count, [&](std::size_t p, __mmask16 live) __attribute__((always_inline)) {
        const F e = exp16(_mm512_sub_ps(load(w + p, live), top));
        sum = _mm512_mask_add_ps(sum, live, sum, e);
        _mm512_mask_storeu_ps(w + p, live, e);
      });
  return fold(sum);
}

/// out[i] += sum_p w[i][p] v[p][...], p < count in order, for Q queries and 16 C columns, of which
/// the last vector is masked.
template <int Q, int C>
TALARIA_INLINE void weigh_values(const float* const* w, const float* v, std::size_t count,
                                 std::size_t head_dim, __mmask16 last, float* const* out) {
  const auto live = [last](int j) { return j < C - 1 ? static_cast<__mmask16>(0xffff) : last; };
  F acc[Q][C];
#pragma GCC unroll 4
  for (int i = 0; i < Q; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < C; ++j) acc[i][j] = load(out[i] + 16 * j, live(j));
  for (std::size_t p = 0; p < count; ++p, v += head_dim) {
    F values[C];
#pragma GCC unroll 4
    for (int j = 0; j < C; ++j) values[j] = load(v + 16 * j, live(j));
#pragma GCC unroll 4
    for (int i = 0; i < Q; ++i) {
      const F x = _mm512_set1_ps(w[i][p]);
#pragma GCC unroll 4
      for (int j = 0; j < C; ++j) acc[i][j] = _mm512_fmadd_ps(x, values[j], acc[i][j]);
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < Q; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < C; ++j) _mm512_mask_storeu_ps(out[i] + 16 * j, live(j), acc[i][j]);
}

TALARIA_INLINE std::size_t largest(const std::size_t* counts, std::size_t n) {
  std::size_t most = 0;
  for (std::size_t i = 0; i < n; ++i) most = counts[i] > most ? counts[i] : most;
  return most;
}

/// The queries of one call and the piece of the columns that is worked on.
struct ValuePass {
  const float* weights; ///< `stride` of a query
  std::size_t stride;
  const std::size_t* counts;
  std::size_t queries;
  const float* v;
  std::size_t head_dim;
  float* const* out;

  /// Columns [d, d + 16 C), fewer if `last` says so, in tiles of values that all queries pass over.
  template <int C>
  void run(std::size_t d, __mmask16 last, std::size_t most) const {
    constexpr std::size_t kTile = 64, kTogether = 4;
    for (std::size_t p = 0; p < most; p += kTile) {
      std::size_t i = 0;
      for (; i + kTogether <= queries; i += kTogether) together<C>(i, p, kTile, d, last);
      for (; i < queries; ++i) one<C>(i, p, in_tile(i, p, kTile), d, last);
    }
  }

private:
  std::size_t in_tile(std::size_t i, std::size_t p, std::size_t tile) const {
    return counts[i] <= p ? 0 : counts[i] - p < tile ? counts[i] - p : tile;
  }
  template <int C>
  void one(std::size_t i, std::size_t p, std::size_t count, std::size_t d, __mmask16 last) const {
    const float* w = weights + i * stride + p;
    float* to = out[i] + d;
    weigh_values<1, C>(&w, v + p * head_dim + d, count, head_dim, last, &to);
  }
  /// Four queries as far as all of them see, then what is left of each.
  template <int C>
  void together(std::size_t first, std::size_t p, std::size_t tile, std::size_t d,
                __mmask16 last) const {
    const float* w[4];
    float* to[4];
    std::size_t common = tile;
    for (std::size_t i = 0; i < 4; ++i) {
      w[i] = weights + (first + i) * stride + p;
      to[i] = out[first + i] + d;
      const std::size_t count = in_tile(first + i, p, tile);
      common = count < common ? count : common;
    }
    weigh_values<4, C>(w, v + p * head_dim + d, common, head_dim, last, to);
    for (std::size_t i = 0; i < 4; ++i)
      one<C>(first + i, p + common, in_tile(first + i, p, tile) - common, d, last);
  }
};

} // namespace

float sum_squares(const float* x, std::size_t n) {
  return dot(x, x, n);
}

float dot(const float* a, const float* b, std::size_t n) {
  F s = _mm512_setzero_ps();
  by_sixteens(
      n, [&](std::size_t i, __mmask16 live) __attribute__((always_inline)) {
        s = _mm512_mask3_fmadd_ps(load(a + i, live), load(b + i, live), s, live);
      });
  return fold(s);
}

void rms_norm(const float* x, const float* gain, float* out, std::size_t n, float eps) {
  const float mean = dot(x, x, n) / static_cast<float>(n);
  const float s = 1.0f / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(mean + eps)));
  const F vs = _mm512_set1_ps(s);
  by_sixteens(
      n, [&](std::size_t i, __mmask16 live) __attribute__((always_inline)) {
        F v = _mm512_mul_ps(load(x + i, live), vs);
        if (gain != nullptr) v = _mm512_mul_ps(v, load(gain + i, live));
        _mm512_mask_storeu_ps(out + i, live, v);
      });
}

void silu_mul(const float* gate, const float* up, float* out, std::size_t n) {
  by_sixteens(
      n, [&](std::size_t i, __mmask16 live) __attribute__((always_inline)) {
        const F g = load(gate + i, live);
        const F e = exp16(_mm512_xor_ps(g, _mm512_set1_ps(-0.0f)));
        const F silu = _mm512_div_ps(g, _mm512_add_ps(_mm512_set1_ps(1.0f), e));
        _mm512_mask_storeu_ps(out + i, live, _mm512_mul_ps(silu, load(up + i, live)));
      });
}

// Tiles of keys and of values stay in the first-level cache while all queries pass over them.
void attend_scores(const float* const* q, const std::size_t* counts, std::size_t queries,
                   const float* k, std::size_t head_dim, float scale, float* scores,
                   std::size_t stride) {
  constexpr std::size_t kTile = 16;
  const std::size_t most = largest(counts, queries);
  for (std::size_t p = 0; p < most; p += kTile)
    for (std::size_t i = 0; i < queries; ++i) {
      if (counts[i] <= p) continue;
      const std::size_t left = counts[i] - p;
      const F s = scores16(q[i], k + p * head_dim, left, head_dim);
      _mm512_mask_storeu_ps(scores + i * stride + p, first_lanes16(left),
                            _mm512_mul_ps(s, _mm512_set1_ps(scale)));
    }
}

float softmax_weights(float* w, std::size_t count) {
  return exponentiate(w, count);
}

void attend_values(const float* weights, std::size_t stride, const std::size_t* counts,
                   std::size_t queries, const float* v, std::size_t head_dim, float* const* out) {
  const std::size_t most = largest(counts, queries);
  const ValuePass pass{weights, stride, counts, queries, v, head_dim, out};
  for (std::size_t d = 0; d < head_dim;) {
    const std::size_t left = head_dim - d;
    if (left >= 64) {
      pass.run<4>(d, 0xffff, most);
      d += 64;
    } else {
      pass.run<1>(d, first_lanes16(left), most);
      d += 16;
    }
  }
}

void widen_bf16(const u16* x, float* out, std::size_t n) {
  by_sixteens(
      n, [&](std::size_t i, __mmask16 live) __attribute__((always_inline)) {
        const V bits =
            _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(live, x + i)), 16);
        _mm512_mask_storeu_ps(out + i, live, _mm512_castsi512_ps(bits));
      });
}

void widen_i8(const i8* x, float scale, float* out, std::size_t n) {
  const F vs = _mm512_set1_ps(scale);
  by_sixteens(
      n, [&](std::size_t i, __mmask16 live) __attribute__((always_inline)) {
        const F v = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(live, x + i)));
        _mm512_mask_storeu_ps(out + i, live, _mm512_mul_ps(v, vs));
      });
}

void rope(float* x, const float* cos, const float* sin, std::size_t n) {
  const std::size_t half = n / 2;
  by_sixteens(
      half, [&](std::size_t i, __mmask16 live) __attribute__((always_inline)) {
        const F a = load(x + i, live), b = load(x + half + i, live);
        const F c = load(cos + i, live), s = load(sin + i, live);
        _mm512_mask_storeu_ps(x + i, live, _mm512_fmsub_ps(a, c, _mm512_mul_ps(b, s)));
        _mm512_mask_storeu_ps(x + half + i, live, _mm512_fmadd_ps(b, c, _mm512_mul_ps(a, s)));
      });
}

u64 quantize_row(const float* x, float scale, i32* out, std::size_t n) {
  const F vs = _mm512_set1_ps(scale);
  V squares = _mm512_setzero_si512();
  by_sixteens(
      n, [&](std::size_t i, __mmask16 live) __attribute__((always_inline)) {
        const V v = _mm512_cvtps_epi32(_mm512_mul_ps(load(x + i, live), vs));
        const V odd = _mm512_srli_epi64(v, 32);
        squares = _mm512_add_epi64(squares, _mm512_mul_epi32(v, v));
        squares = _mm512_add_epi64(squares, _mm512_mul_epi32(odd, odd));
        _mm512_mask_storeu_epi32(out + i, live, v);
      });
  return static_cast<u64>(_mm512_reduce_add_epi64(squares));
}

void dequantize_row(const i64* r, float row_scale, const float* column_scale, const float* bias,
                    const float* residual, float* out, std::size_t n) {
  const F vs = _mm512_set1_ps(row_scale);
  by_sixteens(
      n, [&](std::size_t j, __mmask16 live) __attribute__((always_inline)) {
        const V low = _mm512_maskz_loadu_epi64(static_cast<__mmask8>(live), r + j);
        const V high = _mm512_maskz_loadu_epi64(static_cast<__mmask8>(live >> 8), r + j + 8);
        F v = _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtepi64_ps(low)),
                                 _mm512_cvtepi64_ps(high), 1);
        v = _mm512_mul_ps(_mm512_mul_ps(v, vs), load(column_scale + j, live));
        if (bias != nullptr) v = _mm512_add_ps(v, load(bias + j, live));
        if (residual != nullptr) v = _mm512_add_ps(v, load(residual + j, live));
        _mm512_mask_storeu_ps(out + j, live, v);
      });
}

} // namespace talaria::kernels::avx512
