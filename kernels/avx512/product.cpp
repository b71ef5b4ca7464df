#include <algorithm>
#include <cstring>

#include "kernels/avx512/avx512.hpp"
#include "kernels/avx512/limb_kernel.hpp"
#include "kernels/avx512/vector.hpp"
#include "kernels/avx512/wide.hpp"
#include "kernels/reference/reference.hpp"
#include "kernels/scratch.hpp"

// A residue is a few unsigned bytes, and VNNI multiplies unsigned by signed bytes: the bytes of the
// wire are the limbs as they are. A row of residues becomes `word_bytes` rows of limbs with int32
// sums, and y = sum_l 2^(8 l) sums_l mod q. One reading of the weights serves all limbs of all
// rows.

namespace talaria::kernels::avx512 {

namespace {

constexpr std::size_t kRowsPerBlock = 64; ///< their sums and limbs stay in the second level
constexpr std::size_t kMaxInputs = 65793; ///< 255 128 d_in < 2^31

/// Words of one row to limbs [groups][bytes][4], zero beyond the last word.
class LimbSplitter {
public:
  explicit LimbSplitter(std::size_t bytes) : bytes_(bytes) {
    alignas(64) u8 index[64] = {};
    for (std::size_t g = 0; g < 2; ++g)
      for (std::size_t l = 0; l < bytes; ++l)
        for (std::size_t i = 0; i < 4; ++i)
          index[(g * bytes + l) * 4 + i] = static_cast<u8>((g * 4 + i) * bytes + l);
    index_ = _mm512_load_si512(index);
  }
  void split(const u8* words, std::size_t n, u8* limbs) const {
    for (std::size_t i = 0; i < n; i += 8) {
      const std::size_t count = n - i < 8 ? n - i : 8;
      const V v = _mm512_maskz_loadu_epi8(first_bytes(count * bytes_), words + i * bytes_);
      const std::size_t used = (count + 3) / 4 * 4 * bytes_;
      _mm512_mask_storeu_epi8(limbs + i * bytes_, first_bytes(used),
                              _mm512_permutexvar_epi8(index_, v));
    }
  }

private:
  std::size_t bytes_;
  V index_;
};

/// Seven limbs times four vectors of columns would not fit in the registers: two halves then. Not
/// inlined: among its callers' variables gcc 12 keeps some of the sums in memory, which takes twice
/// the time.
template <int R, int Lines>
[[gnu::noinline]] void panel_kernel(const u8* limbs, const i8* weights, std::size_t groups,
                                    i32* sums, bool first, const i8* next) {
  if constexpr (R <= 6) {
    limb_kernel<R, 4, Lines>(limbs, weights, groups, sums, first, next);
  } else {
    limb_kernel<R, 2, Lines>(limbs, weights, groups, sums, first, next);
    limb_kernel<R, 2, 0>(limbs, weights + 128, groups, sums + 32, first, next);
  }
}

/// Cache lines of the next block that row `t` of `rows` fetches with each group of four lines: the
/// first rows share them, as evenly as so few can.
constexpr int lines_of_row(std::size_t t, std::size_t rows) {
  if (rows == 2 || (rows == 3 && t == 0)) return 2;
  return t < 4 ? 1 : 0;
}

/// Sums of one panel for `rows` rows of limbs: sums[rows][R][64].
template <int R>
void panel_sums(const u8* limbs, std::size_t rows, const i8* panel, std::size_t groups, i32* sums) {
  if (rows == 1) return panel_kernel<R, 4>(limbs, panel, groups, sums, true, panel + 2048);
  // With few rows memory is what takes time, and two blocks are to fit into the first level.
  const std::size_t per_block = rows < 8 ? kGroupsPerBlock / 4 : kGroupsPerBlock;
  for (std::size_t k = 0; k < groups; k += per_block) {
    const std::size_t count = std::min(per_block, groups - k);
    const i8* weights = panel + k * kGroupBytes;
    const i8* next = weights + count * kGroupBytes;
    for (std::size_t t = 0; t < rows; ++t) {
      const u8* row = limbs + (t * groups + k) * 4 * R;
      i32* out = sums + t * R * kPanel;
      const int lines = lines_of_row(t, rows);
      if (lines == 2)
        panel_kernel<R, 2>(row, weights, count, out, k == 0, next);
      else if (lines == 1)
        panel_kernel<R, 1>(row, weights, count, out, k == 0, next);
      else
        panel_kernel<R, 0>(row, weights, count, out, k == 0, next);
      next += static_cast<std::size_t>(lines) * count * 64;
    }
  }
}

/// A multiple of q above 2^48.
constexpr u64 positive_bias(u64 q) {
  return ((u64{1} << 48) / q + 1) * q;
}

/// Three limbs from sums[limb][64] on together, for eight columns. They stay below 2^47.1 in
/// magnitude; the bias makes them positive.
TALARIA_INLINE V three_limbs(const i32* sums, int limb, int limbs, V bias) {
  V v = bias;
  for (int l = limb; l < limb + 3 && l < limbs; ++l) {
    const __m256i s = _mm256_load_si256(
        reinterpret_cast<const __m256i*>(sums + static_cast<std::size_t>(l) * kPanel));
    v = _mm512_add_epi64(
        v, _mm512_slli_epi64(_mm512_cvtepi32_epi64(s), static_cast<unsigned>(8 * (l - limb))));
  }
  return v;
}

/// sums[limbs][64] to residues, for moduli of at most 48 bits.
class Recombiner {
public:
  explicit Recombiner(const Modulus& m)
      : words_(m.word_bytes), limbs_(m.word_bytes), q_(set(m.q)), two_q_(set(2 * m.q)),
        minus_q_(set((u64{1} << 52) - m.q)), one_shoup_(set((u64{1} << 52) / m.q)),
        bias_(set(positive_bias(m.q))) {
    const u64 shift = (u64{1} << 24) % m.q;
    shift_ = set(shift);
    shift_shoup_ = set(static_cast<u64>((u128{shift} << 52) / m.q));
  }
  void operator()(const i32* sums, std::size_t columns, u8* out) const {
    for (std::size_t j = 0; j < columns; j += 8) {
      V y = multiply(three_limbs(sums + j, 0, limbs_, bias_), set(1), one_shoup_,
                     _mm512_setzero_si512());
      y = multiply(three_limbs(sums + j, 3, limbs_, bias_), shift_, shift_shoup_, y);
      y = _mm512_and_si512(y, set((u64{1} << 52) - 1)); // below 4 q
      y = subtract_once(subtract_once(y, two_q_), q_);
      words_.store(out + j * words_.bytes(), y, columns - j < 8 ? columns - j : 8);
    }
  }

private:
  V multiply(V y, V w, V w_shoup, V acc) const {
    const V h = _mm512_madd52hi_epu64(_mm512_setzero_si512(), y, w_shoup);
    return _mm512_madd52lo_epu64(_mm512_madd52lo_epu64(acc, y, w), h, minus_q_);
  }
  Words words_;
  int limbs_;
  V q_;
  V two_q_;
  V minus_q_;
  V one_shoup_;
  V bias_;
  V shift_;
  V shift_shoup_;
};

/// The same for moduli of 49 to 54 bits, hence seven limbs.
class WideRecombiner {
public:
  explicit WideRecombiner(const Modulus& m)
      : words_(m.word_bytes), limbs_(m.word_bytes), field_(m.q),
        bias_(set(positive_bias(m.q))), factors_{field_.factor(1), field_.factor(u64{1} << 24),
                                                 field_.factor(u64{1} << 48)} {}

  void operator()(const i32* sums, std::size_t columns, u8* out) const {
    for (std::size_t j = 0; j < columns; j += 8) {
      V y = field_.mul(three_limbs(sums + j, 0, limbs_, bias_), factors_[0]);
      y = field_.add(y, field_.mul(three_limbs(sums + j, 3, limbs_, bias_), factors_[1]));
      y = field_.add(y, field_.mul(three_limbs(sums + j, 6, limbs_, bias_), factors_[2]));
      words_.store(out + j * words_.bytes(), y, columns - j < 8 ? columns - j : 8);
    }
  }

private:
  Words words_;
  int limbs_;
  WideField field_;
  V bias_;
  WideField::Factor factors_[3];
};

template <int R, class Recombine>
void limb_product(const u8* c, std::size_t rows, const PackedWeights& w, const Modulus& q, u8* y,
                  std::size_t panel_begin, std::size_t panel_end) {
  const std::size_t groups = w.groups();
  const std::size_t block = std::min(rows, kRowsPerBlock);
  const std::size_t limb_bytes = (block * groups * 4 * R + 63) / 64 * 64;
  u8* limbs = scratch(limb_bytes + block * R * kPanel * sizeof(i32));
  i32* sums = reinterpret_cast<i32*>(limbs + limb_bytes);
  const LimbSplitter splitter(R);
  const Recombine recombine(q);
  for (std::size_t first = 0; first < rows; first += block) {
    const std::size_t count = std::min(block, rows - first);
    for (std::size_t t = 0; t < count; ++t)
      splitter.split(c + (first + t) * w.d_in() * R, w.d_in(), limbs + t * groups * 4 * R);
    for (std::size_t p = panel_begin; p < panel_end; ++p) {
      panel_sums<R>(limbs, count, w.panel(p), groups, sums);
      const std::size_t columns = std::min(kPanel, w.d_out() - p * kPanel);
      for (std::size_t t = 0; t < count; ++t)
        recombine(sums + t * R * kPanel, columns, y + ((first + t) * w.d_out() + p * kPanel) * R);
    }
  }
}

/// The halves of 64 numbers z, each four times: a group has four weights for each column.
struct PanelHalves {
  alignas(64) double low[4 * kPanel];
  alignas(64) double top[4 * kPanel];

  PanelHalves(const u64* z, std::size_t columns) {
    for (std::size_t j = 0; j < 4 * kPanel; ++j) {
      const u64 v = j / 4 < columns ? z[j / 4] : 0;
      low[j] = static_cast<double>(v & ((u64{1} << 27) - 1));
      top[j] = static_cast<double>(v >> 27);
    }
  }
};

/// sums[l] += lane l + lane l + 4
TALARIA_INLINE void add_folded(__m512d s, i64* sums) {
  const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(s), _mm512_extractf64x4_pd(s, 1));
  const __m256i before = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(sums));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums),
                      _mm256_add_epi64(before, _mm256_cvtpd_epi64(four)));
}

// --- fp32
// -----------------------------------------------------------------------------------------------

constexpr std::size_t kFloatDepth = 64; ///< inputs per block: 16 KiB of weights as floats

/// Weights of `depth` inputs, a multiple of four, as floats [depth][64].
void widen_block(const i8* weights, std::size_t depth, float* block) {
  for (std::size_t i = 0; i < depth; i += 4, weights += kGroupBytes)
    for (std::size_t j = 0; j < kPanel; j += 16) {
      const V four = _mm512_load_si512(weights + 4 * j);
      float* out = block + i * kPanel + j;
      _mm512_store_ps(out, _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(four, 24), 24)));
      _mm512_store_ps(out + kPanel,
                      _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(four, 16), 24)));
      _mm512_store_ps(out + 2 * kPanel,
                      _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(four, 8), 24)));
      _mm512_store_ps(out + 3 * kPanel, _mm512_cvtepi32_ps(_mm512_srai_epi32(four, 24)));
    }
}

/// y[R][64] (+)= c[R][depth] block[depth][64], inputs in order; only `columns` columns of y exist.
template <int R>
void float_kernel(const float* c, std::size_t c_stride, const float* block, std::size_t depth,
                  float* y, std::size_t y_stride, std::size_t columns, bool first) {
  __mmask16 live[4];
  for (std::size_t j = 0; j < 4; ++j)
    live[j] = first_lanes16(columns > 16 * j ? columns - 16 * j : 0);
  F acc[R][4];
#pragma GCC unroll 6
  for (std::size_t r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (std::size_t j = 0; j < 4; ++j)
      acc[r][j] =
          first ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(live[j], y + r * y_stride + 16 * j);
  for (std::size_t i = 0; i < depth; ++i, block += kPanel) {
    F w[4];
#pragma GCC unroll 4
    for (std::size_t j = 0; j < 4; ++j) w[j] = _mm512_load_ps(block + 16 * j);
#pragma GCC unroll 6
    for (std::size_t r = 0; r < R; ++r) {
      const F a = _mm512_set1_ps(c[r * c_stride + i]);
#pragma GCC unroll 4
      for (std::size_t j = 0; j < 4; ++j) acc[r][j] = _mm512_fmadd_ps(a, w[j], acc[r][j]);
    }
  }
#pragma GCC unroll 6
  for (std::size_t r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (std::size_t j = 0; j < 4; ++j)
      _mm512_mask_storeu_ps(y + r * y_stride + 16 * j, live[j], acc[r][j]);
}

} // namespace

void residue_product(const u8* c, std::size_t rows, const PackedWeights& w, const Modulus& q, u8* y,
                     std::size_t panel_begin, std::size_t panel_end) {
  if (rows == 0 || panel_begin >= panel_end) return;
  if (w.d_in() > kMaxInputs || q.word_bytes < 5 || q.word_bytes > 7)
    reference::residue_product(c, rows, w, q, y, panel_begin, panel_end);
  else if (q.word_bytes == 5)
    limb_product<5, Recombiner>(c, rows, w, q, y, panel_begin, panel_end);
  else if (q.word_bytes == 6)
    limb_product<6, Recombiner>(c, rows, w, q, y, panel_begin, panel_end);
  else
    limb_product<7, WideRecombiner>(c, rows, w, q, y, panel_begin, panel_end);
}

// Within a panel a sum stays below 2^7 2^27 2^6, exact in double precision.
void weight_dot_halves(const PackedWeights& w, const u64* z, i64* sums, std::size_t panel_begin,
                       std::size_t panel_end) {
  for (std::size_t p = panel_begin; p < panel_end; ++p) {
    const PanelHalves halves(z + p * kPanel, std::min(kPanel, w.d_out() - p * kPanel));
    const i8* group = w.panel(p);
    for (std::size_t g = 0; g < w.groups(); ++g, group += kGroupBytes) {
      __m512d low[2], top[2];
      for (int s = 0; s < 2; ++s) low[s] = top[s] = _mm512_setzero_pd();
      _mm_prefetch(reinterpret_cast<const char*>(group) + 2048, _MM_HINT_T0);
      _mm_prefetch(reinterpret_cast<const char*>(group) + 2048 + 64, _MM_HINT_T0);
      _mm_prefetch(reinterpret_cast<const char*>(group) + 2048 + 128, _MM_HINT_T0);
      _mm_prefetch(reinterpret_cast<const char*>(group) + 2048 + 192, _MM_HINT_T0);
#pragma GCC unroll 4
      for (std::size_t j = 0; j < kGroupBytes; j += 16) {
        const V wide =
            _mm512_cvtepi8_epi32(_mm_load_si128(reinterpret_cast<const __m128i*>(group + j)));
        const __m512d first = _mm512_cvtepi32_pd(_mm512_castsi512_si256(wide));
        const __m512d second = _mm512_cvtepi32_pd(_mm512_extracti64x4_epi64(wide, 1));
        low[0] = _mm512_fmadd_pd(first, _mm512_load_pd(halves.low + j), low[0]);
        top[0] = _mm512_fmadd_pd(first, _mm512_load_pd(halves.top + j), top[0]);
        low[1] = _mm512_fmadd_pd(second, _mm512_load_pd(halves.low + j + 8), low[1]);
        top[1] = _mm512_fmadd_pd(second, _mm512_load_pd(halves.top + j + 8), top[1]);
      }
      add_folded(_mm512_add_pd(low[0], low[1]), sums + 8 * g);
      add_folded(_mm512_add_pd(top[0], top[1]), sums + 8 * g + 4);
    }
  }
}

void float_product(const float* c, std::size_t rows, const PackedWeights& w, float* y,
                   std::size_t panel_begin, std::size_t panel_end) {
  constexpr std::size_t kRows = 6;
  const std::size_t d_in = w.d_in(), d_out = w.d_out();
  alignas(64) float block[kFloatDepth * kPanel];
  for (std::size_t p = panel_begin; p < panel_end; ++p) {
    const std::size_t columns = std::min(kPanel, d_out - p * kPanel);
    for (std::size_t i = 0; i < d_in; i += kFloatDepth) {
      const std::size_t depth = std::min(kFloatDepth, d_in - i);
      widen_block(w.panel(p) + i * kPanel, (depth + 3) / 4 * 4, block);
      std::size_t t = 0;
      for (; t + kRows <= rows; t += kRows)
        float_kernel<kRows>(c + t * d_in + i, d_in, block, depth, y + t * d_out + p * kPanel, d_out,
                            columns, i == 0);
      for (; t < rows; ++t)
        float_kernel<1>(c + t * d_in + i, d_in, block, depth, y + t * d_out + p * kPanel, d_out,
                        columns, i == 0);
    }
  }
}

} // namespace talaria::kernels::avx512
