#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/elementwise.hpp"
#include "kernels/reference/exp_constants.hpp"
#include "kernels/reference/reference.hpp"

namespace talaria::kernels {

namespace {

float power_of_two(int n) {
  return std::bit_cast<float>(static_cast<u32>(n + 127) << 23);
}

} // namespace

float canonical_exp(float x) noexcept {
  using namespace exp_constants;
  x = smaller(larger(x, kLowest), kHighest);
  const float n = std::nearbyint(x * kLog2E);
  float r = std::fma(-n, kLn2High, x);
  r = std::fma(-n, kLn2Low, r);
  float p = kPolynomial[0];
  for (std::size_t i = 1; i < std::size(kPolynomial); ++i) p = std::fma(p, r, kPolynomial[i]);
  // Two normal factors: 2^n itself may be too small or too large for a float.
  const int exponent = static_cast<int>(n);
  const int first = exponent >> 1;
  return p * power_of_two(first) * power_of_two(exponent - first);
}

namespace reference {

namespace {

constexpr std::size_t kLanes = 16;

/// s[l] += s[l + 8] for l < 8, then 4, 2, 1.
float fold(float (&s)[kLanes]) {
  for (std::size_t apart = kLanes / 2; apart > 0; apart /= 2)
    for (std::size_t l = 0; l < apart; ++l) s[l] += s[l + apart];
  return s[0];
}

float sum(const float* x, std::size_t n) {
  float s[kLanes] = {};
  for (std::size_t i = 0; i < n; ++i) s[i % kLanes] += x[i];
  return fold(s);
}

} // namespace

float sum_squares(const float* x, std::size_t n) {
  return dot(x, x, n);
}

float dot(const float* a, const float* b, std::size_t n) {
  float s[kLanes] = {};
  for (std::size_t i = 0; i < n; ++i) s[i % kLanes] = std::fma(a[i], b[i], s[i % kLanes]);
  return fold(s);
}

void rms_norm(const float* x, const float* gain, float* out, std::size_t n, float eps) {
  const float s = 1.0f / std::sqrt(sum_squares(x, n) / static_cast<float>(n) + eps);
  for (std::size_t i = 0; i < n; ++i) {
    const float scaled = x[i] * s;
    out[i] = gain == nullptr ? scaled : scaled * gain[i];
  }
}

void silu_mul(const float* gate, const float* up, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    const float g = gate[i];
    out[i] = g / (1.0f + canonical_exp(-g)) * up[i];
  }
}

void attend_scores(const float* const* q, const std::size_t* counts, std::size_t queries,
                   const float* k, std::size_t head_dim, float scale, float* scores,
                   std::size_t stride) {
  for (std::size_t i = 0; i < queries; ++i)
    for (std::size_t p = 0; p < counts[i]; ++p)
      scores[i * stride + p] = dot(q[i], k + p * head_dim, head_dim) * scale;
}

float softmax_weights(float* w, std::size_t count) {
  float most = w[0];
  for (std::size_t p = 1; p < count; ++p) most = larger(w[p], most);
  for (std::size_t p = 0; p < count; ++p) w[p] = canonical_exp(w[p] - most);
  return sum(w, count);
}

void attend_values(const float* weights, std::size_t stride, const std::size_t* counts,
                   std::size_t queries, const float* v, std::size_t head_dim, float* const* out) {
  for (std::size_t i = 0; i < queries; ++i)
    for (std::size_t p = 0; p < counts[i]; ++p)
      for (std::size_t d = 0; d < head_dim; ++d)
        out[i][d] = std::fma(weights[i * stride + p], v[p * head_dim + d], out[i][d]);
}

void widen_bf16(const u16* x, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) out[i] = std::bit_cast<float>(u32{x[i]} << 16);
}

void widen_i8(const i8* x, float scale, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<float>(x[i]) * scale;
}

void rope(float* x, const float* cos, const float* sin, std::size_t n) {
  const std::size_t half = n / 2;
  for (std::size_t i = 0; i < half; ++i) {
    const float a = x[i];
    const float b = x[i + half];
    x[i] = std::fma(a, cos[i], -(b * sin[i]));
    x[i + half] = std::fma(b, cos[i], a * sin[i]);
  }
}

u64 quantize_row(const float* x, float scale, i32* out, std::size_t n) {
  u64 squares = 0;
  for (std::size_t i = 0; i < n; ++i) {
    out[i] = static_cast<i32>(std::nearbyint(x[i] * scale));
    squares += static_cast<u64>(i64{out[i]} * out[i]);
  }
  return squares;
}

void dequantize_row(const i64* r, float row_scale, const float* column_scale, const float* bias,
                    const float* residual, float* out, std::size_t n) {
  for (std::size_t j = 0; j < n; ++j) {
    float value = static_cast<float>(r[j]) * row_scale * column_scale[j];
    if (bias != nullptr) value += bias[j];
    if (residual != nullptr) value += residual[j];
    out[j] = value;
  }
}

} // namespace reference
} // namespace talaria::kernels
