#include "kernels/elementwise.hpp"

#include <algorithm>

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

} // namespace talaria::kernels
