#pragma once

#include <cstddef>
#include <cstring>

#include "kernels/avx512/vector.hpp"
#include "kernels/packed_weights.hpp"

// The inner loop of the products of unsigned bytes with weights (see vector.hpp on linkage).
namespace talaria::kernels::avx512 {

namespace {

constexpr std::size_t kPanel = PackedWeights::kPanel;
constexpr std::size_t kGroupBytes = 4 * kPanel; ///< weights of four inputs
constexpr std::size_t kGroupsPerBlock = 128;    ///< 32 KiB of weights in the first-level cache

/// Weights come from memory to the second level this far ahead of those that are fetched to the
/// first: more lines can be on their way there than the first level has places for.
constexpr std::size_t kFarAhead = 6144;

/// sums[R][64] (+)= limbs[groups][R][4] . weights[groups][64][4] for the 16 C columns from
/// `weights` and `sums` on. Each step fetches `Lines` cache lines of `next` meanwhile, and as many
/// further ahead.
template <int R, int C, int Lines>
TALARIA_INLINE void limb_kernel(const u8* limbs, const i8* weights, std::size_t groups, i32* sums,
                                bool first, const i8* next) {
  V acc[R][C];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int j = 0; j < C; ++j)
      acc[r][j] = first ? _mm512_setzero_si512()
                        : _mm512_load_si512(sums + r * static_cast<int>(kPanel) + j * 16);
  for (std::size_t g = 0; g < groups; ++g, limbs += 4 * R, weights += kGroupBytes) {
    V w[C];
#pragma GCC unroll 4
    for (int j = 0; j < C; ++j) w[j] = _mm512_load_si512(weights + 64 * j);
#pragma GCC unroll 4
    for (int j = 0; j < Lines; ++j)
      _mm_prefetch(reinterpret_cast<const char*>(next) + 64 * j, _MM_HINT_T0);
#pragma GCC unroll 4
    for (int j = 0; j < Lines; ++j)
      _mm_prefetch(reinterpret_cast<const char*>(next) + kFarAhead + 64 * j, _MM_HINT_T1);
    next += 64 * Lines;
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      i32 four;
      std::memcpy(&four, limbs + 4 * r, 4);
      const V a = _mm512_set1_epi32(four);
#pragma GCC unroll 4
      for (int j = 0; j < C; ++j) acc[r][j] = _mm512_dpbusd_epi32(acc[r][j], a, w[j]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int j = 0; j < C; ++j)
      _mm512_store_si512(sums + r * static_cast<int>(kPanel) + j * 16, acc[r][j]);
}

} // namespace
} // namespace talaria::kernels::avx512
