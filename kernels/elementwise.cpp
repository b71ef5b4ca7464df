#include "kernels/elementwise.hpp"

#include <algorithm>

#include "kernels/kernel_set.hpp"

namespace talaria::kernels {

namespace {

constexpr float kSqrtTwoOverPi = 0.7978845608028654f;
constexpr float kCubic = 0.044715f;

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

void attend_capped(const float* q, const float* k, const float* v, std::size_t count,
                   std::size_t head_dim, float scale, float cap, float* scratch, float* out) {
  const KernelSet& set = active_kernels();
  for (std::size_t p = 0; p < count; ++p)
    scratch[p] = set.dot(q, k + p * head_dim, head_dim) * scale;
  soft_cap(scratch, count, cap);
  float most = scratch[0];
  for (std::size_t p = 1; p < count; ++p) most = larger(scratch[p], most);
  float total = 0;
  for (std::size_t p = 0; p < count; ++p) {
    scratch[p] = canonical_exp(scratch[p] - most);
    total += scratch[p];
  }
  std::fill_n(out, head_dim, 0.0f);
  for (std::size_t p = 0; p < count; ++p)
    for (std::size_t d = 0; d < head_dim; ++d) out[d] += scratch[p] * v[p * head_dim + d];
  for (std::size_t d = 0; d < head_dim; ++d) out[d] /= total;
}

} // namespace talaria::kernels
