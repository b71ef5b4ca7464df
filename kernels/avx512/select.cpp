#include "kernels/avx512/avx512.hpp"
#include "kernels/avx512/vector.hpp"

namespace talaria::kernels::avx512 {

namespace {

constexpr std::size_t kRows = 8;   ///< of the table, held in the first caches for all ids
constexpr std::size_t kIds = 8;    ///< whose tiles are held in registers
constexpr std::size_t kTile = 128; ///< bytes of a row
constexpr int kAorBandC = 0xf8;    ///< truth table of a | (b & c)

/// Eight rows of a table, or the last ones: where they are, and who is wanted.
struct Block {
  const u8* table;
  std::size_t rows;
  std::size_t row_bytes;
  bool more; ///< as many rows follow: they are fetched ahead
  u64 wanted[kRows][kIds];
};

/// wanted[r][i] = all ones if ids[i] is row first + r. Exactly kIds ids.
TALARIA_INLINE void compare(const u32* ids, std::size_t first, Block& block) {
  const V secret = _mm512_cvtepu32_epi64(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(ids)));
  for (std::size_t r = 0; r < kRows; ++r)
    _mm512_storeu_si512(block.wanted[r],
                        _mm512_movm_epi64(_mm512_cmpeq_epi64_mask(secret, set(first + r))));
}

/// One tile of `ids` output rows: bytes [at, at + kTile), of which `left` exist.
template <std::size_t ids, bool whole>
TALARIA_INLINE void tile(const Block& block, std::size_t at, std::size_t left, u8* out) {
  const __mmask64 low = whole ? ~__mmask64{0} : first_bytes(left);
  const __mmask64 high = whole ? ~__mmask64{0} : left > 64 ? first_bytes(left - 64) : 0;
  const auto load = [&](const u8* p, __mmask64 live) {
    return whole ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi8(live, p);
  };
  const auto store = [&](u8* p, V v, __mmask64 live) {
    if constexpr (whole)
      _mm512_storeu_si512(p, v);
    else
      _mm512_mask_storeu_epi8(p, live, v);
  };
  V sums[ids][2];
  for (std::size_t i = 0; i < ids; ++i) {
    u8* const p = out + i * block.row_bytes + at;
    sums[i][0] = load(p, low);
    sums[i][1] = load(p + 64, high);
  }
  const u8* row = block.table + at;
  for (std::size_t r = 0; r < block.rows; ++r, row += block.row_bytes) {
    if (block.more) {
      const char* ahead = reinterpret_cast<const char*>(row + kRows * block.row_bytes);
      _mm_prefetch(ahead, _MM_HINT_T0);
      _mm_prefetch(ahead + 64, _MM_HINT_T0);
    }
    const V first = load(row, low);
    const V second = load(row + 64, high);
    for (std::size_t i = 0; i < ids; ++i) {
      const V mask = set(block.wanted[r][i]);
      sums[i][0] = _mm512_ternarylogic_epi64(sums[i][0], first, mask, kAorBandC);
      sums[i][1] = _mm512_ternarylogic_epi64(sums[i][1], second, mask, kAorBandC);
    }
  }
  for (std::size_t i = 0; i < ids; ++i) {
    u8* const p = out + i * block.row_bytes + at;
    store(p, sums[i][0], low);
    store(p + 64, sums[i][1], high);
  }
}

template <std::size_t ids>
void take(const Block& block, u8* out) {
  std::size_t at = 0;
  for (; at + kTile <= block.row_bytes; at += kTile) tile<ids, true>(block, at, kTile, out);
  if (at < block.row_bytes) tile<ids, false>(block, at, block.row_bytes - at, out);
}

using Take = void (*)(const Block&, u8*);
constexpr Take kTakes[kIds + 1] = {nullptr, take<1>, take<2>, take<3>, take<4>,
                                   take<5>, take<6>, take<7>, take<8>};

} // namespace

void select_rows(const u8* table, std::size_t first, std::size_t rows, std::size_t row_bytes,
                 const u32* ids, std::size_t count, u8* out) {
  Block block;
  block.row_bytes = row_bytes;
  for (std::size_t r = 0; r < rows; r += kRows) {
    block.table = table + r * row_bytes;
    block.rows = rows - r < kRows ? rows - r : kRows;
    for (std::size_t i = 0; i < count; i += kIds) {
      const std::size_t now = count - i < kIds ? count - i : kIds;
      u32 secret[kIds] = {};
      for (std::size_t j = 0; j < now; ++j) secret[j] = ids[i + j];
      compare(secret, first + r, block);
      block.more = i == 0 && r + 2 * kRows <= rows;
      kTakes[now](block, out + i * row_bytes);
    }
  }
}

} // namespace talaria::kernels::avx512
