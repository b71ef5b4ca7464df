#pragma once

#include <bit>
#include <cstddef>

#include "core/constant_time.hpp"

namespace talaria::kernels {

// Functions that few families need. They are written once, on canonical_exp, and are the same for
// every SIMD target; neither a branch nor an address depends on the numbers.

/// a if a > b, else b: without the branch that compilers make of it.
inline float larger(float a, float b) noexcept {
  const u32 mask = u32{0} - static_cast<u32>(a > b);
  return std::bit_cast<float>(
      constant_time::choose(mask, std::bit_cast<u32>(a), std::bit_cast<u32>(b)));
}

/// a if a < b, else b, likewise.
inline float smaller(float a, float b) noexcept {
  const u32 mask = u32{0} - static_cast<u32>(a < b);
  return std::bit_cast<float>(
      constant_time::choose(mask, std::bit_cast<u32>(a), std::bit_cast<u32>(b)));
}

/// tanh(x) = 1 - 2 / (exp(2 x) + 1): within 1e-7 of it, absolutely.
float canonical_tanh(float x) noexcept;

/// x[i] = cap tanh(x[i] / cap). In place. cap > 0.
void soft_cap(float* x, std::size_t n, float cap) noexcept;

/// out[i] = gelu(gate[i]) up[i] with GELU's tanh form, g / (1 + exp(-2 z)) for
/// z = sqrt(2 / pi) (g + 0.044715 g^3). In place allowed.
void gelu_tanh_mul(const float* gate, const float* up, float* out, std::size_t n) noexcept;

/// out[i] = (u + 1) (g / (1 + exp(-1.702 g))) with g = min(gate[i], limit) and u = up[i] within
/// +-limit. In place allowed. limit > 0.
void clamped_swiglu(const float* gate, const float* up, float* out, std::size_t n,
                    float limit) noexcept;

/// 1 / (1 + exp(-x)).
float sigmoid(float x) noexcept;

/// ln(1 + exp(x)), as max(x, 0) + ln(1 + exp(-|x|)) with the series of the inverse hyperbolic
/// tangent, in double: relative error < 3e-7.
float softplus(float x) noexcept;

/// out[i] = sigmoid(gate[i]) x[i]. In place allowed.
void sigmoid_mul(const float* gate, const float* x, float* out, std::size_t n) noexcept;

/// s[i] = decay s[i] + factor x[i], product by product rounded. s and x do not overlap.
void decay_and_add(float* s, float decay, float factor, const float* x, std::size_t n) noexcept;

} // namespace talaria::kernels
