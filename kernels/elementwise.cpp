#include "kernels/elementwise.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/kernel_set.hpp"

namespace talaria::kernels {

namespace {

constexpr float kSqrtTwoOverPi = 0.7978845608028654f;
constexpr float kCubic = 0.044715f;
constexpr float kAlpha = 1.702f;

} // namespace

float canonical_tanh(float x) noexcept {
  return 1.0f - 2.0f / (canonical_exp(2.0f * x) + 1.0f);
}

void soft_cap(float* x, std::size_t n, float cap) noexcept {
  for (std::size_t i = 0; i < n; ++i) x[i] = cap * canonical_tanh(x[i] / cap);
}

void gelu_tanh_mul(const float* gate, const float* up, float* out, std::size_t n) noexcept {
  for (std::size_t i = 0; i < n; ++i) {
    const float g = gate[i];
    const float z = kSqrtTwoOverPi * (g + kCubic * (g * g * g));
    out[i] = g / (1.0f + canonical_exp(-2.0f * z)) * up[i];
  }
}

void clamped_swiglu(const float* gate, const float* up, float* out, std::size_t n,
                    float limit) noexcept {
  for (std::size_t i = 0; i < n; ++i) {
    const float g = smaller(gate[i], limit);
    const float u = larger(smaller(up[i], limit), -limit);
    out[i] = (u + 1.0f) * (g / (1.0f + canonical_exp(-kAlpha * g)));
  }
}

float sigmoid(float x) noexcept {
  return 1.0f / (1.0f + canonical_exp(-x));
}

float softplus(float x) noexcept {
  const double e = canonical_exp(std::copysign(x, -1.0f)); // exp(-|x|), at most 1
  // ln(1 + e) = 2 (z + z^3 / 3 + z^5 / 5 + ...) with z = e / (2 + e), at most 1/3: what is left
  // out is below 3^-25.
  const double z = e / (2.0 + e);
  const double square = z * z;
  double series = 0;
  for (int k = 23; k >= 1; k -= 2) series = series * square + 1.0 / k;
  return larger(x, 0.0f) + static_cast<float>(2.0 * z * series);
}

void sigmoid_mul(const float* gate, const float* x, float* out, std::size_t n) noexcept {
  for (std::size_t i = 0; i < n; ++i) out[i] = sigmoid(gate[i]) * x[i];
}

void decay_and_add(float* __restrict s, float decay, float factor, const float* __restrict x,
                   std::size_t n) noexcept {
  for (std::size_t i = 0; i < n; ++i) {
    const float kept = decay * s[i];
    s[i] = kept + factor * x[i];
  }
}

} // namespace talaria::kernels
