#include "kernels/avx2/avx2.hpp"
#include "kernels/avx2/vector.hpp"

namespace talaria::kernels::avx2 {

namespace {

// Few ids: their tiles stay in registers, and every row of a block is added under a mask.

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

void select_few(const u8* table, std::size_t first, std::size_t rows, std::size_t row_bytes,
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

// Many ids: sixteen rows are turned so that a vector holds one column of them, in which a byte
// shuffle looks up sixteen ids at once. An id that is in none of these rows has an index of 0x80
// or more, which yields 0.

constexpr std::size_t kSide = 16;   ///< rows turned together, and ids looked up together
constexpr std::size_t kBatches = 4; ///< of turned rows between two visits to the sums
constexpr std::size_t kHalves = 2;  ///< vectors of a piece
constexpr std::size_t kPiece = 64;  ///< bytes of a row: a cache line if rows are aligned
constexpr std::size_t kFew = 16;    ///< ids, up to which turning does not pay
constexpr std::size_t kGroups = 8;  ///< of ids
constexpr std::size_t kSums = 64;   ///< groups of ids times pieces whose sums are kept at hand
constexpr std::size_t kMaxIds = kSide * kGroups;
constexpr std::size_t kBlock = kBatches * kSide;

/// Of one group of ids and one piece: byte c and byte c + 16 of each half, for every id.
struct Sum {
  V of[kHalves][kSide];
};

/// x[r] byte c <-> x[c] byte r, in both halves. Each round moves the uppermost bit of the vector's
/// number to the bottom of the byte's, and that of the byte's to the bottom of the vector's.
TALARIA_INLINE void turn(V (&x)[kSide]) {
#pragma GCC unroll 4
  for (int round = 0; round < 4; ++round) {
    V y[kSide];
#pragma GCC unroll 8
    for (std::size_t i = 0; i < kSide / 2; ++i) {
      y[2 * i] = _mm256_unpacklo_epi8(x[i], x[i + kSide / 2]);
      y[2 * i + 1] = _mm256_unpackhi_epi8(x[i], x[i + kSide / 2]);
    }
#pragma GCC unroll 16
    for (std::size_t i = 0; i < kSide; ++i) x[i] = y[i];
  }
}

/// In both halves: where each of sixteen ids stands among the sixteen rows from `first` on.
TALARIA_INLINE V places(const u32* ids, std::size_t first) {
  const V base = _mm256_set1_epi32(static_cast<int>(first));
  const V far = _mm256_set1_epi32(0x80);
  const V low = _mm256_min_epu32(_mm256_sub_epi32(loadu(ids), base), far);
  const V high = _mm256_min_epu32(_mm256_sub_epi32(loadu(ids + 8), base), far);
  const V halves = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xd8);
  const V bytes = _mm256_permute4x64_epi64(_mm256_packus_epi16(halves, halves), 0x88);
  return _mm256_add_epi8(bytes, _mm256_set1_epi8(0x70)); // 0x70 to 0x7f for the rows, else 0xf0
}

/// Up to 64 rows of one piece, turned.
struct Turned {
  V of[kBatches][kHalves][kSide];
};

/// Copied together first: rows that are 4 KiB apart drive each other out of the first cache.
TALARIA_INLINE void gather(const u8* from, std::size_t row_bytes, std::size_t rows,
                           std::size_t left, bool more, V (&to)[kBlock][kHalves]) {
  for (std::size_t r = 0; r < kBlock; ++r, from += row_bytes) {
    if (more) _mm_prefetch(reinterpret_cast<const char*>(from + kBlock * row_bytes), _MM_HINT_T1);
    if (r < rows && left >= kPiece) {
      to[r][0] = loadu(from);
      to[r][1] = loadu(from + kPiece / 2);
    } else {
      to[r][0] = to[r][1] = _mm256_setzero_si256();
      if (r < rows) __builtin_memcpy(to[r], from, left);
    }
  }
}

TALARIA_INLINE void read(const u8* from, std::size_t row_bytes, std::size_t rows, std::size_t left,
                         bool more, Turned& out) {
  V lines[kBlock][kHalves];
  gather(from, row_bytes, rows, left, more, lines);
  for (std::size_t b = 0; b < kBatches; ++b)
    for (std::size_t h = 0; h < kHalves; ++h) {
      V x[kSide];
#pragma GCC unroll 16
      for (std::size_t i = 0; i < kSide; ++i) x[i] = lines[b * kSide + i][h];
      turn(x);
#pragma GCC unroll 16
      for (std::size_t i = 0; i < kSide; ++i) out.of[b][h][i] = x[i];
    }
}

/// A strip of the table, some pieces of every row, for the ids of some groups, all of them full.
struct Strip {
  const u8* table; ///< the first row's first byte of it
  std::size_t bytes;
  std::size_t row_bytes;
  const u32* ids;
  std::size_t groups;
};

void select_strip(const Strip& strip, std::size_t first, std::size_t rows, Sum* sums) {
  Turned turned;
  V where[kGroups][kBatches];
  for (std::size_t r = 0; r < rows; r += kBlock) {
    const std::size_t now = rows - r < kBlock ? rows - r : kBlock;
    const bool more = r + 2 * kBlock <= rows;
    for (std::size_t g = 0; g < strip.groups; ++g)
      for (std::size_t b = 0; b < kBatches; ++b)
        where[g][b] = places(strip.ids + g * kSide, first + r + b * kSide);
    Sum* sum = sums;
    for (std::size_t at = 0; at < strip.bytes; at += kPiece) {
      read(strip.table + r * strip.row_bytes + at, strip.row_bytes, now, strip.bytes - at, more,
           turned);
      for (std::size_t g = 0; g < strip.groups; ++g, ++sum)
        for (std::size_t h = 0; h < kHalves; ++h)
          for (std::size_t c = 0; c < kSide; ++c) {
            V found = sum->of[h][c];
            for (std::size_t b = 0; b < kBatches; ++b)
              found = _mm256_or_si256(found, _mm256_shuffle_epi8(turned.of[b][h][c], where[g][b]));
            sum->of[h][c] = found;
          }
    }
  }
}

/// Adds what was found in a strip to the rows of `count` ids; `out` is where it belongs in the
/// first.
void give_out(const Strip& strip, const Sum* sums, std::size_t count, u8* out) {
  for (std::size_t at = 0; at < strip.bytes; at += kPiece)
    for (std::size_t g = 0; g < strip.groups; ++g, ++sums)
      for (std::size_t h = 0; h < kHalves; ++h) {
        V x[kSide];
        for (std::size_t c = 0; c < kSide; ++c) x[c] = sums->of[h][c];
        turn(x);
        const std::size_t begin = at + h * sizeof(V);
        for (std::size_t i = 0; i < kSide && g * kSide + i < count && begin < strip.bytes; ++i) {
          u8* const to = out + (g * kSide + i) * strip.row_bytes + begin;
          const std::size_t left =
              strip.bytes - begin < sizeof(V) ? strip.bytes - begin : sizeof(V);
          V before = _mm256_setzero_si256();
          __builtin_memcpy(&before, to, left);
          before = _mm256_or_si256(before, x[i]);
          __builtin_memcpy(to, &before, left);
        }
      }
}

/// For up to kMaxIds ids. Strips are as wide as their sums have room.
void select_many(const u8* table, std::size_t first, std::size_t rows, std::size_t row_bytes,
                 const u32* ids, std::size_t count, u8* out) {
  u32 secret[kMaxIds];
  for (std::size_t i = 0; i < kMaxIds; ++i) secret[i] = i < count ? ids[i] : ~u32{0};
  Strip strip;
  strip.row_bytes = row_bytes;
  strip.ids = secret;
  strip.groups = (count + kSide - 1) / kSide;
  const std::size_t width = kSums / strip.groups * kPiece;
  Sum sums[kSums];
  for (std::size_t begin = 0; begin < row_bytes; begin += width) {
    strip.table = table + begin;
    strip.bytes = row_bytes - begin < width ? row_bytes - begin : width;
    __builtin_memset(sums, 0, sizeof sums);
    select_strip(strip, first, rows, sums);
    give_out(strip, sums, count, out + begin);
  }
  __builtin_memset(sums, 0, sizeof sums);
  __asm__ volatile("" : : "r"(sums), "r"(secret) : "memory"); // wiped, though nobody reads it
}

} // namespace

void select_rows(const u8* table, std::size_t first, std::size_t rows, std::size_t row_bytes,
                 const u32* ids, std::size_t count, u8* out) {
  if (count <= kFew) return select_few(table, first, rows, row_bytes, ids, count, out);
  for (std::size_t i = 0; i < count; i += kMaxIds)
    select_many(table, first, rows, row_bytes, ids + i, count - i < kMaxIds ? count - i : kMaxIds,
                out + i * row_bytes);
}

} // namespace talaria::kernels::avx2
