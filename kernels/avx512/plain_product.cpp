#include <algorithm>
#include <cstring>

#include "kernels/avx512/avx512.hpp"
#include "kernels/avx512/limb_kernel.hpp"
#include "kernels/avx512/vector.hpp"
#include "kernels/scratch.hpp"

// VNNI multiplies unsigned by signed bytes, so x goes in as x + 128. The row before the first is
// all 128, which is x = 0: its sums, 128 times those of the columns, are taken off the others.
// Sums wrap modulo 2^32 on the way and come out right, being below 2^31.

namespace talaria::kernels::avx512 {

namespace {

constexpr std::size_t kTileRows = 6;      ///< whose sums of 64 columns fit in the registers
constexpr std::size_t kRowsPerBlock = 65; ///< eleven tiles with the row before the first

/// Rows of x as tiles [groups][up to 6 rows][4 inputs] of biased bytes.
void write_tiles(const i8* x, std::size_t rows, std::size_t d_in, u8* tiles) {
  constexpr u32 kBias = 0x80808080;
  const std::size_t whole = d_in / 4, rest = d_in % 4, groups = (d_in + 3) / 4;
  for (std::size_t slot = 0; slot <= rows; ++slot) {
    const std::size_t first = slot / kTileRows * kTileRows;
    const std::size_t step = 4 * std::min(kTileRows, rows + 1 - first);
    u8* out = tiles + (first * groups + slot - first) * 4;
    if (slot == 0) {
      for (std::size_t g = 0; g < groups; ++g) std::memcpy(out + g * step, &kBias, 4);
      continue;
    }
    const i8* row = x + (slot - 1) * d_in;
    for (std::size_t g = 0; g < whole; ++g) {
      u32 four;
      std::memcpy(&four, row + 4 * g, 4);
      four ^= kBias;
      std::memcpy(out + g * step, &four, 4);
    }
    if (rest == 0) continue;
    u32 four = 0; // weights beyond the last input are zero
    std::memcpy(&four, row + 4 * whole, rest);
    four ^= kBias;
    std::memcpy(out + whole * step, &four, 4);
  }
}

/// One tile of R rows: see limb_kernel.
using TileKernel = void (*)(const u8* tile, const i8* weights, std::size_t groups, i32* sums,
                            bool first, const i8* next);
template <int R, int Lines>
void tile_kernel(const u8* tile, const i8* weights, std::size_t groups, i32* sums, bool first,
                 const i8* next) {
  limb_kernel<R, 4, Lines>(tile, weights, groups, sums, first, next);
}
/// By rows less one: the only tile of a product, which fetches whole groups; the last of several.
constexpr TileKernel kOnly[] = {tile_kernel<1, 4>, tile_kernel<2, 4>, tile_kernel<3, 4>,
                                tile_kernel<4, 4>, tile_kernel<5, 4>, tile_kernel<6, 4>};
constexpr TileKernel kLast[] = {tile_kernel<1, 0>, tile_kernel<2, 0>, tile_kernel<3, 0>,
                                tile_kernel<4, 0>, tile_kernel<5, 0>, tile_kernel<6, 0>};
/// By cache lines of the next block fetched with each group.
constexpr TileKernel kFull[] = {tile_kernel<6, 0>, tile_kernel<6, 1>, tile_kernel<6, 2>, nullptr,
                                tile_kernel<6, 4>};

/// sums[slots][64] of one panel. The full tiles at the front share the fetching of the next block,
/// evenly if there are enough of them for the arithmetic to hide it.
void panel_sums(const u8* tiles, std::size_t slots, const i8* panel, std::size_t groups,
                i32* sums) {
  const std::size_t count = (slots + kTileRows - 1) / kTileRows;
  const std::size_t last_rows = slots - (count - 1) * kTileRows;
  if (count == 1) return kOnly[last_rows - 1](tiles, panel, groups, sums, true, panel + 2048);
  const std::size_t fetchers = count > 4 ? 4 : count > 2 ? 2 : 1;
  const std::size_t lines = 4 / fetchers;
  for (std::size_t k = 0; k < groups; k += kGroupsPerBlock) {
    const std::size_t depth = std::min(kGroupsPerBlock, groups - k);
    const i8* weights = panel + k * kGroupBytes;
    const i8* next = weights + depth * kGroupBytes;
    for (std::size_t i = 0; i < count; ++i) {
      const bool last = i + 1 == count;
      const std::size_t rows = last ? last_rows : kTileRows;
      const TileKernel kernel = last ? kLast[rows - 1] : kFull[i < fetchers ? lines : 0];
      kernel(tiles + (i * kTileRows * groups + k * rows) * 4, weights, depth,
             sums + i * kTileRows * kPanel, k == 0, next + i * depth * lines * 64);
    }
  }
}

/// y[rows][..] = sums of the rows less those of the row before them, `columns` of 64.
void subtract_bias(const i32* sums, std::size_t rows, std::size_t columns, i32* y,
                   std::size_t y_stride) {
  for (std::size_t t = 0; t < rows; ++t, y += y_stride)
    for (std::size_t j = 0; j < columns; j += 16) {
      const V sum = _mm512_load_si512(sums + (t + 1) * kPanel + j);
      _mm512_mask_storeu_epi32(y + j, first_lanes16(columns - j),
                               _mm512_sub_epi32(sum, _mm512_load_si512(sums + j)));
    }
}

} // namespace

void plain_product(const i8* x, std::size_t rows, const PackedWeights& w, i32* y,
                   std::size_t panel_begin, std::size_t panel_end) {
  if (rows == 0 || panel_begin >= panel_end) return;
  const std::size_t groups = w.groups();
  const std::size_t block = std::min(rows, kRowsPerBlock);
  const std::size_t tile_bytes = ((block + 1) * groups * 4 + 63) / 64 * 64;
  u8* tiles = scratch(tile_bytes + (block + 1) * kPanel * sizeof(i32));
  i32* sums = reinterpret_cast<i32*>(tiles + tile_bytes);
  for (std::size_t first = 0; first < rows; first += block) {
    const std::size_t count = std::min(block, rows - first);
    write_tiles(x + first * w.d_in(), count, w.d_in(), tiles);
    for (std::size_t p = panel_begin; p < panel_end; ++p) {
      panel_sums(tiles, count + 1, w.panel(p), groups, sums);
      subtract_bias(sums, count, std::min(kPanel, w.d_out() - p * kPanel),
                    y + first * w.d_out() + p * kPanel, w.d_out());
    }
  }
}

} // namespace talaria::kernels::avx512
