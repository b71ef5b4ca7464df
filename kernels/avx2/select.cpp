#include "kernels/avx2/avx2.hpp"
#include "kernels/avx2/vector.hpp"

namespace talaria::kernels::avx2 {

namespace {

constexpr std::size_t kRows = 8;  ///< of the table, held in the first caches for all ids
constexpr std::size_t kIds = 4;   ///< whose tiles are held in registers
constexpr std::size_t kTile = 64; ///< bytes of a row

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
  const V secret = _mm256_cvtepu32_epi64(_mm_loadu_si128(reinterpret_cast<const __m128i*>(ids)));
  for (std::size_t r = 0; r < kRows; ++r)
    storeu(block.wanted[r], _mm256_cmpeq_epi64(secret, set(first + r)));
}

/// Bytes [at, at + kTile) of `ids` output rows.
template <std::size_t ids>
TALARIA_INLINE void tile(const Block& block, std::size_t at, u8* out) {
  V sums[ids][2];
  for (std::size_t i = 0; i < ids; ++i) {
    const u8* const p = out + i * block.row_bytes + at;
    sums[i][0] = loadu(p);
    sums[i][1] = loadu(p + 32);
  }
  const u8* row = block.table + at;
  for (std::size_t r = 0; r < block.rows; ++r, row += block.row_bytes) {
    if (block.more)
      _mm_prefetch(reinterpret_cast<const char*>(row + kRows * block.row_bytes), _MM_HINT_T0);
    const V first = loadu(row);
    const V second = loadu(row + 32);
    for (std::size_t i = 0; i < ids; ++i) {
      const V mask = set(block.wanted[r][i]);
      sums[i][0] = _mm256_or_si256(sums[i][0], _mm256_and_si256(first, mask));
      sums[i][1] = _mm256_or_si256(sums[i][1], _mm256_and_si256(second, mask));
    }
  }
  for (std::size_t i = 0; i < ids; ++i) {
    u8* const p = out + i * block.row_bytes + at;
    storeu(p, sums[i][0]);
    storeu(p + 32, sums[i][1]);
  }
}

template <std::size_t ids>
void take(const Block& block, u8* out) {
  std::size_t at = 0;
  for (; at + kTile <= block.row_bytes; at += kTile) tile<ids>(block, at, out);
  for (std::size_t r = 0; r < block.rows; ++r) {
    const u8* const row = block.table + r * block.row_bytes;
    for (std::size_t i = 0; i < ids; ++i) {
      const auto mask = static_cast<u8>(block.wanted[r][i]);
      for (std::size_t b = at; b < block.row_bytes; ++b)
        out[i * block.row_bytes + b] |= row[b] & mask;
    }
  }
}

using Take = void (*)(const Block&, u8*);
constexpr Take kTakes[kIds + 1] = {nullptr, take<1>, take<2>, take<3>, take<4>};

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

} // namespace talaria::kernels::avx2
