#include <cmath>

#include "kernels/avx2/avx2.hpp"
#include "kernels/avx2/vector.hpp"
#include "kernels/reference/exp_constants.hpp"
#include "kernels/reference/reference.hpp"

// The sixteen lanes of the canonical sums are those of two vectors. What a short tail does not
// reach is left alone: adding zero could turn -0 into +0.

namespace talaria::kernels::avx2 {

namespace {

constexpr std::size_t kLanes = 16;

struct Lanes {
  F low = _mm256_setzero_ps();
  F high = _mm256_setzero_ps();
};

/// lane[l] (+)= a[l] b[l] for l < n < 16.
TALARIA_INLINE void add_tail(Lanes& s, const float* a, const float* b, std::size_t n) {
  alignas(32) float lane[kLanes];
  _mm256_store_ps(lane, s.low);
  _mm256_store_ps(lane + 8, s.high);
  for (std::size_t l = 0; l < n; ++l) lane[l] = __builtin_fmaf(a[l], b[l], lane[l]);
  s.low = _mm256_load_ps(lane);
  s.high = _mm256_load_ps(lane + 8);
}

/// s[l] += s[l + 8], then 4, 2, 1.
TALARIA_INLINE float fold(const Lanes& s) {
  const F eight = _mm256_add_ps(s.low, s.high);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

/// scores[r] = dot(q, k[r]) scale for R rows at once.
template <int R>
TALARIA_INLINE void scores_of(const float* q, const float* k, std::size_t head_dim, float scale,
                              float* scores) {
  Lanes s[R];
  std::size_t d = 0;
  for (; d + kLanes <= head_dim; d += kLanes) {
    const F low = _mm256_loadu_ps(q + d), high = _mm256_loadu_ps(q + d + 8);
#pragma GCC unroll 4
    for (std::size_t r = 0; r < R; ++r) {
      s[r].low = _mm256_fmadd_ps(low, _mm256_loadu_ps(k + r * head_dim + d), s[r].low);
      s[r].high = _mm256_fmadd_ps(high, _mm256_loadu_ps(k + r * head_dim + d + 8), s[r].high);
    }
  }
#pragma GCC unroll 4
  for (std::size_t r = 0; r < R; ++r) {
    if (d < head_dim) add_tail(s[r], q + d, k + r * head_dim + d, head_dim - d);
    scores[r] = fold(s[r]) * scale;
  }
}

TALARIA_INLINE F power_of_two(V n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}

TALARIA_INLINE F exp8(F x) {
  using namespace exp_constants;
  x = _mm256_max_ps(x, _mm256_set1_ps(kLowest));
  x = _mm256_min_ps(x, _mm256_set1_ps(kHighest));
  const F n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(kLog2E)),
                              _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  F r = _mm256_fnmadd_ps(n, _mm256_set1_ps(kLn2High), x);
  r = _mm256_fnmadd_ps(n, _mm256_set1_ps(kLn2Low), r);
  F p = _mm256_set1_ps(kPolynomial[0]);
#pragma GCC unroll 8
  for (std::size_t i = 1; i < sizeof(kPolynomial) / sizeof(float); ++i)
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(kPolynomial[i]));
  const V exponent = _mm256_cvtps_epi32(n);
  const V first = _mm256_srai_epi32(exponent, 1);
  p = _mm256_mul_ps(p, power_of_two(first));
  return _mm256_mul_ps(p, power_of_two(_mm256_sub_epi32(exponent, first)));
}

/// out[8 C] += sum_p w[p] v[p][...], p in order
template <std::size_t C>
TALARIA_INLINE void weigh_values(const float* w, const float* v, std::size_t count,
                                 std::size_t head_dim, float* out) {
  F acc[C];
  for (std::size_t j = 0; j < C; ++j) acc[j] = _mm256_loadu_ps(out + 8 * j);
  for (std::size_t p = 0; p < count; ++p, v += head_dim) {
    const F x = _mm256_set1_ps(w[p]);
#pragma GCC unroll 8
    for (std::size_t j = 0; j < C; ++j)
      acc[j] = _mm256_fmadd_ps(x, _mm256_loadu_ps(v + 8 * j), acc[j]);
  }
  for (std::size_t j = 0; j < C; ++j) _mm256_storeu_ps(out + 8 * j, acc[j]);
}

/// The same for all of out[head_dim].
TALARIA_INLINE void weigh_row(const float* w, const float* v, std::size_t count,
                              std::size_t head_dim, float* out) {
  std::size_t d = 0;
  for (; d + 64 <= head_dim; d += 64) weigh_values<8>(w, v + d, count, head_dim, out + d);
  for (; d + 8 <= head_dim; d += 8) weigh_values<1>(w, v + d, count, head_dim, out + d);
  for (; d < head_dim; ++d)
    for (std::size_t p = 0; p < count; ++p)
      out[d] = __builtin_fmaf(w[p], v[p * head_dim + d], out[d]);
}

/// w[p] = exp(w[p] - top) for all p; returns the canonical sum.
float exponentiate(float* w, std::size_t count, float top) {
  const F vt = _mm256_set1_ps(top);
  Lanes sum;
  std::size_t p = 0;
  for (; p + kLanes <= count; p += kLanes) {
    const F low = exp8(_mm256_sub_ps(_mm256_loadu_ps(w + p), vt));
    const F high = exp8(_mm256_sub_ps(_mm256_loadu_ps(w + p + 8), vt));
    sum.low = _mm256_add_ps(sum.low, low);
    sum.high = _mm256_add_ps(sum.high, high);
    _mm256_storeu_ps(w + p, low);
    _mm256_storeu_ps(w + p + 8, high);
  }
  if (p < count) {
    float ones[kLanes];
    for (float& one : ones) one = 1.0f;
    for (std::size_t i = p; i < count; ++i) w[i] = canonical_exp(w[i] - top);
    add_tail(sum, w + p, ones, count - p); // a product with one is exact
  }
  return fold(sum);
}

} // namespace

float sum_squares(const float* x, std::size_t n) {
  return dot(x, x, n);
}

float dot(const float* a, const float* b, std::size_t n) {
  Lanes s;
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    s.low = _mm256_fmadd_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i), s.low);
    s.high = _mm256_fmadd_ps(_mm256_loadu_ps(a + i + 8), _mm256_loadu_ps(b + i + 8), s.high);
  }
  if (i < n) add_tail(s, a + i, b + i, n - i);
  return fold(s);
}

void rms_norm(const float* x, const float* gain, float* out, std::size_t n, float eps) {
  const float mean = dot(x, x, n) / static_cast<float>(n);
  const float s = 1.0f / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(mean + eps)));
  const F vs = _mm256_set1_ps(s);
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    F v = _mm256_mul_ps(_mm256_loadu_ps(x + i), vs);
    if (gain != nullptr) v = _mm256_mul_ps(v, _mm256_loadu_ps(gain + i));
    _mm256_storeu_ps(out + i, v);
  }
  for (; i < n; ++i) {
    const float scaled = x[i] * s;
    out[i] = gain == nullptr ? scaled : scaled * gain[i];
  }
}

void silu_mul(const float* gate, const float* up, float* out, std::size_t n) {
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const F g = _mm256_loadu_ps(gate + i);
    const F e = exp8(_mm256_xor_ps(g, _mm256_set1_ps(-0.0f)));
    const F silu = _mm256_div_ps(g, _mm256_add_ps(_mm256_set1_ps(1.0f), e));
    _mm256_storeu_ps(out + i, _mm256_mul_ps(silu, _mm256_loadu_ps(up + i)));
  }
  reference::silu_mul(gate + i, up + i, out + i, n - i);
}

void attend_scores(const float* const* q, const std::size_t* counts, std::size_t queries,
                   const float* k, std::size_t head_dim, float scale, float* scores,
                   std::size_t stride) {
  for (std::size_t i = 0; i < queries; ++i) {
    float* to = scores + i * stride;
    std::size_t p = 0;
    for (; p + 4 <= counts[i]; p += 4)
      scores_of<4>(q[i], k + p * head_dim, head_dim, scale, to + p);
    for (; p < counts[i]; ++p) scores_of<1>(q[i], k + p * head_dim, head_dim, scale, to + p);
  }
}

float softmax_weights(float* w, std::size_t count) {
  float top = w[0];
  for (std::size_t p = 1; p < count; ++p) top = w[p] > top ? w[p] : top;
  return exponentiate(w, count, top);
}

void attend_values(const float* weights, std::size_t stride, const std::size_t* counts,
                   std::size_t queries, const float* v, std::size_t head_dim, float* const* out) {
  for (std::size_t i = 0; i < queries; ++i)
    weigh_row(weights + i * stride, v, counts[i], head_dim, out[i]);
}

void widen_bf16(const u16* x, float* out, std::size_t n) {
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x + i));
    const V bits = _mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16);
    _mm256_storeu_ps(out + i, _mm256_castsi256_ps(bits));
  }
  reference::widen_bf16(x + i, out + i, n - i);
}

void widen_i8(const i8* x, float scale, float* out, std::size_t n) {
  const F vs = _mm256_set1_ps(scale);
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(x + i));
    const F v = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
    _mm256_storeu_ps(out + i, _mm256_mul_ps(v, vs));
  }
  reference::widen_i8(x + i, scale, out + i, n - i);
}

void rope(float* x, const float* cos, const float* sin, std::size_t n) {
  const std::size_t half = n / 2;
  std::size_t i = 0;
  for (; i + 8 <= half; i += 8) {
    const F a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(x + half + i);
    const F c = _mm256_loadu_ps(cos + i), s = _mm256_loadu_ps(sin + i);
    _mm256_storeu_ps(x + i, _mm256_fmsub_ps(a, c, _mm256_mul_ps(b, s)));
    _mm256_storeu_ps(x + half + i, _mm256_fmadd_ps(b, c, _mm256_mul_ps(a, s)));
  }
  for (; i < half; ++i) {
    const float a = x[i], b = x[i + half];
    x[i] = __builtin_fmaf(a, cos[i], -(b * sin[i]));
    x[i + half] = __builtin_fmaf(b, cos[i], a * sin[i]);
  }
}

u64 quantize_row(const float* x, float scale, i32* out, std::size_t n) {
  const F vs = _mm256_set1_ps(scale);
  V squares = _mm256_setzero_si256();
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const V v = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i), vs));
    const V odd = _mm256_srli_epi64(v, 32);
    squares = _mm256_add_epi64(squares, _mm256_mul_epi32(v, v));
    squares = _mm256_add_epi64(squares, _mm256_mul_epi32(odd, odd));
    storeu(out + i, v);
  }
  alignas(32) u64 lanes[4];
  _mm256_store_si256(reinterpret_cast<V*>(lanes), squares);
  return lanes[0] + lanes[1] + lanes[2] + lanes[3] +
         reference::quantize_row(x + i, scale, out + i, n - i);
}

void dequantize_row(const i64* r, float row_scale, const float* column_scale, const float* bias,
                    const float* residual, float* out, std::size_t n) {
  const F vs = _mm256_set1_ps(row_scale);
  std::size_t j = 0;
  for (; j + 8 <= n; j += 8) {
    alignas(32) float converted[8]; // AVX2 has no conversion of 64-bit integers
    for (std::size_t l = 0; l < 8; ++l) converted[l] = static_cast<float>(r[j + l]);
    F v = _mm256_mul_ps(_mm256_load_ps(converted), vs);
    v = _mm256_mul_ps(v, _mm256_loadu_ps(column_scale + j));
    if (bias != nullptr) v = _mm256_add_ps(v, _mm256_loadu_ps(bias + j));
    if (residual != nullptr) v = _mm256_add_ps(v, _mm256_loadu_ps(residual + j));
    _mm256_storeu_ps(out + j, v);
  }
  reference::dequantize_row(r + j, row_scale, column_scale + j,
                            bias == nullptr ? nullptr : bias + j,
                            residual == nullptr ? nullptr : residual + j, out + j, n - j);
}

} // namespace talaria::kernels::avx2
