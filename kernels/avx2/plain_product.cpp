#include <algorithm>
#include <cstring>

#include "kernels/avx2/avx2.hpp"
#include "kernels/avx2/vector.hpp"
#include "kernels/scratch.hpp"

// Both factors are widened to 16 bits and multiplied in pairs (vpmaddwd): the instructions that
// multiply bytes saturate.

namespace talaria::kernels::avx2 {

namespace {

constexpr std::size_t kPanel = PackedWeights::kPanel;
constexpr std::size_t kGroupBytes = 4 * kPanel; ///< weights of four inputs
constexpr std::size_t kGroupsPerBlock = 64;     ///< 16 KiB of weights in the first-level cache
constexpr std::size_t kRowsPerBlock = 64;
constexpr std::size_t kTileRows = 4; ///< whose sums of 8 columns fit in the registers
constexpr std::size_t kColumns = 8;

/// One row as 16-bit numbers, zero beyond the last input.
void widen_row(const i8* x, std::size_t n, i16* out) {
  for (std::size_t i = 0; i < n; ++i) out[i] = x[i];
  for (std::size_t i = n; i < round_up(n, 4); ++i) out[i] = 0;
}

/// sums[R][64] += rows[R][groups][4] . weights for eight columns; every step fetches a line of
/// `next` if that is not null.
template <std::size_t R>
TALARIA_INLINE void tile_kernel(const i16* rows, std::size_t stride, const i8* weights,
                                std::size_t groups, i32* sums, const i8* next) {
  V acc[R][2]; // four columns each, two sums to a column
#pragma GCC unroll 4
  for (std::size_t r = 0; r < R; ++r) acc[r][0] = acc[r][1] = _mm256_setzero_si256();
  for (std::size_t g = 0; g < groups; ++g, rows += 4, weights += kGroupBytes) {
    const V w0 = _mm256_cvtepi8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(weights)));
    const V w1 =
        _mm256_cvtepi8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(weights + 16)));
    if (next != nullptr)
      _mm_prefetch(reinterpret_cast<const char*>(next) + g * kGroupBytes, _MM_HINT_T0);
#pragma GCC unroll 4
    for (std::size_t r = 0; r < R; ++r) {
      u64 four;
      std::memcpy(&four, rows + r * stride, 8);
      const V a = set(four);
      acc[r][0] = _mm256_add_epi32(acc[r][0], _mm256_madd_epi16(a, w0));
      acc[r][1] = _mm256_add_epi32(acc[r][1], _mm256_madd_epi16(a, w1));
    }
  }
#pragma GCC unroll 4
  for (std::size_t r = 0; r < R; ++r) {
    const V pairs = _mm256_hadd_epi32(acc[r][0], acc[r][1]); // columns 0 1 4 5 2 3 6 7
    i32* out = sums + r * kPanel;
    storeu(out, _mm256_add_epi32(loadu(out), _mm256_permute4x64_epi64(pairs, 0xd8)));
  }
}

/// Adds one panel's products to sums[rows][64].
void panel_sums(const i16* x, std::size_t rows, const i8* panel, std::size_t groups, i32* sums) {
  const std::size_t stride = groups * 4;
  for (std::size_t k = 0; k < groups; k += kGroupsPerBlock) {
    const std::size_t depth = std::min(kGroupsPerBlock, groups - k);
    const i8* weights = panel + k * kGroupBytes;
    std::size_t t = 0;
    while (t < rows) {
      const std::size_t count = rows - t < kTileRows ? 1 : kTileRows;
      for (std::size_t j = 0; j < kPanel; j += kColumns) {
        const bool new_line = t == 0 && j % 16 == 0; // of the next block
        const i8* next = new_line ? weights + depth * kGroupBytes + 4 * j : nullptr;
        const i16* row = x + t * stride + k * 4;
        i32* out = sums + t * kPanel + j;
        if (count == 1)
          tile_kernel<1>(row, stride, weights + 4 * j, depth, out, next);
        else
          tile_kernel<kTileRows>(row, stride, weights + 4 * j, depth, out, next);
      }
      t += count;
    }
  }
}

} // namespace

void plain_product(const i8* x, std::size_t rows, const PackedWeights& w, i32* y,
                   std::size_t panel_begin, std::size_t panel_end) {
  if (rows == 0 || panel_begin >= panel_end) return;
  const std::size_t d_in = w.d_in(), stride = w.groups() * 4;
  const std::size_t block = std::min(rows, kRowsPerBlock);
  i32* sums =
      reinterpret_cast<i32*>(scratch(block * (kPanel * sizeof(i32) + stride * sizeof(i16))));
  i16* wide = reinterpret_cast<i16*>(sums + block * kPanel);
  for (std::size_t first = 0; first < rows; first += block) {
    const std::size_t count = std::min(block, rows - first);
    for (std::size_t t = 0; t < count; ++t)
      widen_row(x + (first + t) * d_in, d_in, wide + t * stride);
    for (std::size_t p = panel_begin; p < panel_end; ++p) {
      std::memset(sums, 0, count * kPanel * sizeof(i32));
      panel_sums(wide, count, w.panel(p), w.groups(), sums);
      const std::size_t columns = std::min(kPanel, w.d_out() - p * kPanel);
      for (std::size_t t = 0; t < count; ++t)
        std::memcpy(y + (first + t) * w.d_out() + p * kPanel, sums + t * kPanel,
                    columns * sizeof(i32));
    }
  }
}

} // namespace talaria::kernels::avx2
