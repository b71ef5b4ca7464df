#include "remo/samplers.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "kernels/kernel_set.hpp"

namespace talaria::remo {

void draw_errors(Rng& rng, std::span<i8> out) {
  constexpr std::size_t kBytes = 6;
  constexpr std::size_t kChunk = 4096;
  SecretBuffer<u8> bytes(std::min(out.size(), kChunk) * kBytes);
  for (std::size_t i = 0; i < out.size(); i += kChunk) {
    const std::size_t n = std::min(kChunk, out.size() - i);
    rng.fill(bytes.span().first(n * kBytes));
    kernels::active_kernels().centered_binomial21(bytes.data(), out.data() + i, n);
  }
}

SecretBuffer<u64> secret_to_ntt(const kernels::NttPlan& plan, std::span<const i8> coefficients) {
  constexpr std::size_t kLanes = 8;
  const std::size_t n = plan.n;
  const std::size_t k = coefficients.size() / n;
  SecretBuffer<u64> out(k * n);
  for (std::size_t first = 0; first < k; first += kLanes) {
    SecretBuffer<u64> lanes(n * kLanes); // zero beyond the last polynomial
    const std::size_t count = std::min(kLanes, k - first);
    for (std::size_t c = 0; c < count; ++c)
      for (std::size_t i = 0; i < n; ++i) {
        const i64 value = coefficients[(first + c) * n + i];
        lanes[kLanes * i + c] =
            static_cast<u64>(value) + (plan.modulus.q & static_cast<u64>(value >> 63));
      }
    kernels::active_kernels().ntt_forward8(plan, lanes.data());
    for (std::size_t c = 0; c < count; ++c)
      for (std::size_t i = 0; i < n; ++i) out[(first + c) * n + i] = lanes[kLanes * i + c];
  }
  return out;
}

SecretBuffer<u64> draw_secret(const kernels::NttPlan& plan, std::size_t k, Rng& rng) {
  SecretBuffer<i8> coefficients(k * plan.n);
  draw_errors(rng, coefficients.span());
  return secret_to_ntt(plan, coefficients.span());
}

SecretBuffer<u64> draw_residues(const kernels::Modulus& q, std::size_t count, Rng& rng) {
  SecretBuffer<u64> out(count);
  for (u64& value : out.span()) value = rng.below(q.q);
  return out;
}

SecretBuffer<float> draw_normal(std::size_t count, Rng& rng) {
  constexpr std::size_t kChunk = 1024;
  SecretBuffer<float> out(count);
  SecretBuffer<u32> coins(std::min(round_up(count, 2), kChunk));
  for (std::size_t i = 0; i < count; i += 2) { // Box and Muller: two uniforms, two normals
    const std::size_t at = i % kChunk;
    if (at == 0) rng.fill({reinterpret_cast<u8*>(coins.data()), coins.size() * sizeof(u32)});
    const double radius = std::sqrt(-2 * std::log((coins[at] + 0.5) * 0x1p-32));
    const double angle = 2 * std::numbers::pi * (coins[at + 1] * 0x1p-32);
    out[i] = static_cast<float>(radius * std::cos(angle));
    if (i + 1 < count) out[i + 1] = static_cast<float>(radius * std::sin(angle));
  }
  return out;
}

} // namespace talaria::remo
