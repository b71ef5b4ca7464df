#include <algorithm>
#include <cstring>

#include "kernels/avx2/avx2.hpp"
#include "kernels/avx2/vector.hpp"
#include "kernels/reference/reference.hpp"
#include "kernels/scratch.hpp"

// A residue becomes four limbs of 14 bits, and limbs are multiplied by weights as 16-bit integers
// in pairs (vpmaddwd). Within a block of 512 inputs a 32-bit lane adds 256 products below 2^21.

namespace talaria::kernels::avx2 {

namespace {

constexpr std::size_t kPanel = PackedWeights::kPanel;
constexpr std::size_t kGroupBytes = 4 * kPanel; ///< weights of four inputs
constexpr std::size_t kGroupsPerBlock = 64;     ///< 16 KiB of weights in the first-level cache
constexpr std::size_t kRowsPerBlock = 32;
constexpr std::size_t kLimbs = 4;
constexpr int kLimbBits = 14;
constexpr std::size_t kColumns = 8; ///< columns for which sums of all limbs fit in the registers

/// Four residues to limbs [4 limbs][4 inputs].
TALARIA_INLINE void split4(V v, i16* limbs) {
  const V mask = set((1u << kLimbBits) - 1);
  V packed = _mm256_and_si256(v, mask); // 16-bit lane l of each 64 will be limb l
  for (int l = 1; l < static_cast<int>(kLimbs); ++l)
    packed = _mm256_or_si256(
        packed,
        _mm256_slli_epi64(_mm256_and_si256(_mm256_srli_epi64(v, l * kLimbBits), mask), 16 * l));
  const V pairs = _mm256_shuffle_epi8( // limb l of inputs 0, 1 (low half) and 2, 3
      packed, _mm256_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15, //
                               0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15));
  const __m128i low = _mm256_castsi256_si128(pairs), high = _mm256_extracti128_si256(pairs, 1);
  _mm_store_si128(reinterpret_cast<__m128i*>(limbs), _mm_unpacklo_epi32(low, high));
  _mm_store_si128(reinterpret_cast<__m128i*>(limbs + 8), _mm_unpackhi_epi32(low, high));
}

/// Words of one row to limbs [groups][4 limbs][4 inputs], zero beyond the last word.
void split_row(const u8* words, std::size_t n, const Words& reader, i16* limbs) {
  const std::size_t bytes = reader.bytes();
  std::size_t i = 0;
  for (; i + 4 <= n; i += 4) split4(reader.load4(words + i * bytes), limbs + i * kLimbs);
  if (i < n) {
    u8 rest[32] = {};
    std::memcpy(rest, words + i * bytes, (n - i) * bytes);
    split4(reader.load4(rest), limbs + i * kLimbs);
  }
}

/// sums[4 limbs][64] += limbs . weights for eight columns; every other step fetches a line of
/// `next`.
TALARIA_INLINE void limb_kernel(const i16* limbs, const i8* weights, std::size_t groups, i64* sums,
                                const i8* next) {
  V acc[kLimbs][2]; // four columns each, two sums to a column
#pragma GCC unroll 4
  for (std::size_t l = 0; l < kLimbs; ++l) acc[l][0] = acc[l][1] = _mm256_setzero_si256();
  for (std::size_t g = 0; g < groups; ++g, limbs += 4 * kLimbs, weights += kGroupBytes) {
    const V w0 = _mm256_cvtepi8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(weights)));
    const V w1 =
        _mm256_cvtepi8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(weights + 16)));
    if (next != nullptr)
      _mm_prefetch(reinterpret_cast<const char*>(next) + g * kGroupBytes, _MM_HINT_T0);
#pragma GCC unroll 4
    for (std::size_t l = 0; l < kLimbs; ++l) {
      u64 four;
      std::memcpy(&four, limbs + 4 * l, 8);
      const V a = set(four);
      acc[l][0] = _mm256_add_epi32(acc[l][0], _mm256_madd_epi16(a, w0));
      acc[l][1] = _mm256_add_epi32(acc[l][1], _mm256_madd_epi16(a, w1));
    }
  }
#pragma GCC unroll 4
  for (std::size_t l = 0; l < kLimbs; ++l) {
    const V pairs = _mm256_hadd_epi32(acc[l][0], acc[l][1]); // columns 0 1 4 5 2 3 6 7
    const V eight = _mm256_permute4x64_epi64(pairs, 0xd8);
    i64* out = sums + l * kPanel;
    storeu(out, _mm256_add_epi64(loadu(out), _mm256_cvtepi32_epi64(_mm256_castsi256_si128(eight))));
    storeu(out + 4, _mm256_add_epi64(loadu(out + 4),
                                     _mm256_cvtepi32_epi64(_mm256_extracti128_si256(eight, 1))));
  }
}

/// Adds one panel's products to sums[rows][4 limbs][64].
void panel_sums(const i16* limbs, std::size_t rows, const i8* panel, std::size_t groups,
                i64* sums) {
  for (std::size_t k = 0; k < groups; k += kGroupsPerBlock) {
    const std::size_t count = std::min(kGroupsPerBlock, groups - k);
    const i8* weights = panel + k * kGroupBytes;
    for (std::size_t t = 0; t < rows; ++t)
      for (std::size_t j = 0; j < kPanel; j += kColumns) {
        const bool new_line = t == 0 && j % 16 == 0; // of the next block
        limb_kernel(limbs + (t * groups + k) * 4 * kLimbs, weights + 4 * j, count,
                    sums + t * kLimbs * kPanel + j,
                    new_line ? weights + count * kGroupBytes + 4 * j : nullptr);
      }
  }
}

/// sums += the integers in `s`, |s| < 2^51.
TALARIA_INLINE void add_integers(D s, i64* sums) {
  const D magic = _mm256_set1_pd(0x1.8p52);
  const V integers =
      _mm256_sub_epi64(_mm256_castpd_si256(_mm256_add_pd(s, magic)), _mm256_castpd_si256(magic));
  storeu(sums, _mm256_add_epi64(loadu(sums), integers));
}

// --- fp32
// -----------------------------------------------------------------------------------------------

constexpr std::size_t kFloatDepth = 32; ///< inputs per block: 8 KiB of weights as floats

/// Weights of `depth` inputs, a multiple of four, as floats [depth][64].
void widen_block(const i8* weights, std::size_t depth, float* block) {
  for (std::size_t i = 0; i < depth; i += 4, weights += kGroupBytes)
    for (std::size_t j = 0; j < kPanel; j += 8) {
      const V four = loadu(weights + 4 * j);
      float* out = block + i * kPanel + j;
      _mm256_store_ps(out, _mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(four, 24), 24)));
      _mm256_store_ps(out + kPanel,
                      _mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(four, 16), 24)));
      _mm256_store_ps(out + 2 * kPanel,
                      _mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(four, 8), 24)));
      _mm256_store_ps(out + 3 * kPanel, _mm256_cvtepi32_ps(_mm256_srai_epi32(four, 24)));
    }
}

/// sums[R][64] += c[R][depth] block[depth][64], inputs in order.
template <std::size_t R>
void float_kernel(const float* c, std::size_t c_stride, const float* block, std::size_t depth,
                  float* sums) {
  constexpr std::size_t kVectors = 8 / R;
  for (std::size_t j = 0; j < kPanel; j += 8 * kVectors) {
    F acc[R][kVectors];
#pragma GCC unroll 4
    for (std::size_t r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (std::size_t v = 0; v < kVectors; ++v)
        acc[r][v] = _mm256_load_ps(sums + r * kPanel + j + 8 * v);
    for (std::size_t i = 0; i < depth; ++i)
#pragma GCC unroll 4
      for (std::size_t r = 0; r < R; ++r) {
        const F a = _mm256_set1_ps(c[r * c_stride + i]);
#pragma GCC unroll 8
        for (std::size_t v = 0; v < kVectors; ++v)
          acc[r][v] = _mm256_fmadd_ps(a, _mm256_load_ps(block + i * kPanel + j + 8 * v), acc[r][v]);
      }
#pragma GCC unroll 4
    for (std::size_t r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (std::size_t v = 0; v < kVectors; ++v)
        _mm256_store_ps(sums + r * kPanel + j + 8 * v, acc[r][v]);
  }
}

} // namespace

void residue_product(const u8* c, std::size_t rows, const PackedWeights& w, const Modulus& q, u8* y,
                     std::size_t panel_begin, std::size_t panel_end) {
  if (q.word_bytes < kFewestBytes || q.word_bytes > 7)
    return reference::residue_product(c, rows, w, q, y, panel_begin, panel_end);
  if (rows == 0 || panel_begin >= panel_end) return;
  const std::size_t groups = w.groups();
  const std::size_t bytes = static_cast<std::size_t>(q.word_bytes);
  const std::size_t block = std::min(rows, kRowsPerBlock);
  const std::size_t row_limbs = groups * 4 * kLimbs;
  i64* sums = reinterpret_cast<i64*>(
      scratch(block * (kLimbs * kPanel * sizeof(i64) + row_limbs * sizeof(i16))));
  i16* limbs = reinterpret_cast<i16*>(sums + block * kLimbs * kPanel);
  const Words reader(q.word_bytes);
  for (std::size_t first = 0; first < rows; first += block) {
    const std::size_t count = std::min(block, rows - first);
    for (std::size_t t = 0; t < count; ++t)
      split_row(c + (first + t) * w.d_in() * bytes, w.d_in(), reader, limbs + t * row_limbs);
    for (std::size_t p = panel_begin; p < panel_end; ++p) {
      std::memset(sums, 0, count * kLimbs * kPanel * sizeof(i64));
      panel_sums(limbs, count, w.panel(p), groups, sums);
      const std::size_t columns = std::min(kPanel, w.d_out() - p * kPanel);
      for (std::size_t t = 0; t < count; ++t)
        reference::recombine_limbs(sums + t * kLimbs * kPanel, kPanel, kLimbs, kLimbBits, columns,
                                   q, y + ((first + t) * w.d_out() + p * kPanel) * bytes);
    }
  }
}

// Within a panel a sum stays below 2^7 2^27 2^6, exact in double precision. The four lanes are the
// four inputs of a group.
void weight_dot_halves(const PackedWeights& w, const u64* z, i64* sums, std::size_t panel_begin,
                       std::size_t panel_end) {
  for (std::size_t p = panel_begin; p < panel_end; ++p) {
    double halves[kPanel][2] = {};
    for (std::size_t j = 0; j < std::min(kPanel, w.d_out() - p * kPanel); ++j) {
      halves[j][0] = static_cast<double>(z[p * kPanel + j] & ((u64{1} << 27) - 1));
      halves[j][1] = static_cast<double>(z[p * kPanel + j] >> 27);
    }
    const i8* entry = w.panel(p);
    for (std::size_t g = 0; g < w.groups(); ++g) {
      D low = _mm256_setzero_pd(), top = low;
#pragma GCC unroll 4
      for (std::size_t j = 0; j < kPanel; ++j, entry += 4) {
        i32 four;
        std::memcpy(&four, entry, 4);
        const D weights = _mm256_cvtepi32_pd(_mm_cvtepi8_epi32(_mm_cvtsi32_si128(four)));
        low = _mm256_fmadd_pd(weights, _mm256_broadcast_sd(&halves[j][0]), low);
        top = _mm256_fmadd_pd(weights, _mm256_broadcast_sd(&halves[j][1]), top);
      }
      add_integers(low, sums + 8 * g);
      add_integers(top, sums + 8 * g + 4);
    }
  }
}

void float_product(const float* c, std::size_t rows, const PackedWeights& w, float* y,
                   std::size_t panel_begin, std::size_t panel_end) {
  constexpr std::size_t kRows = 4;
  const std::size_t d_in = w.d_in(), d_out = w.d_out();
  float* block = reinterpret_cast<float*>(scratch((kFloatDepth + rows) * kPanel * sizeof(float)));
  float* sums = block + kFloatDepth * kPanel;
  for (std::size_t p = panel_begin; p < panel_end; ++p) {
    std::memset(sums, 0, rows * kPanel * sizeof(float));
    for (std::size_t i = 0; i < d_in; i += kFloatDepth) {
      const std::size_t depth = std::min(kFloatDepth, d_in - i);
      widen_block(w.panel(p) + i * kPanel, (depth + 3) / 4 * 4, block);
      std::size_t t = 0;
      for (; t + kRows <= rows; t += kRows)
        float_kernel<kRows>(c + t * d_in + i, d_in, block, depth, sums + t * kPanel);
      for (; t < rows; ++t)
        float_kernel<1>(c + t * d_in + i, d_in, block, depth, sums + t * kPanel);
    }
    const std::size_t columns = std::min(kPanel, d_out - p * kPanel);
    for (std::size_t t = 0; t < rows; ++t)
      std::memcpy(y + t * d_out + p * kPanel, sums + t * kPanel, columns * sizeof(float));
  }
}

} // namespace talaria::kernels::avx2
