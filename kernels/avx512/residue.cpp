#include <cstdint>
#include <type_traits>

#include "kernels/avx512/avx512.hpp"
#include "kernels/avx512/vector.hpp"
#include "kernels/avx512/wide.hpp"
#include "kernels/reference/reference.hpp"

namespace talaria::kernels::avx512 {

namespace {

constexpr int kIfmaBits = 48; ///< moduli up to here leave the multiplier four bits of slack

/// Exact sums of products of numbers below 2^48, up to 2^19 in a lane, if carry() is called every
/// kCarryEvery additions: low and high halves of 52 bits in eight lanes.
class IfmaSum {
public:
  static constexpr std::size_t kCarryEvery = 2048;

  __attribute__((always_inline)) void add(V a, V b) {
    low_ = _mm512_madd52lo_epu64(low_, a, b);
    high_ = _mm512_madd52hi_epu64(high_, a, b);
  }
  /// Moves what has grown past 52 bits; due before 2^12 additions. The high sums then stay below
  /// 2^19 (2^44 + 1).
  __attribute__((always_inline)) void carry() {
    high_ = _mm512_add_epi64(high_, _mm512_srli_epi64(low_, 52));
    low_ = _mm512_and_si512(low_, set((u64{1} << 52) - 1));
  }
  u64 total(const Modulus& q) const {
    u128 sum = 0;
    alignas(64) u64 low[8];
    alignas(64) u64 high[8];
    _mm512_store_si512(low, low_);
    _mm512_store_si512(high, high_);
    for (int l = 0; l < 8; ++l) sum += low[l] + (u128{high[l]} << 52);
    return reference::reduce_wide(sum, q);
  }

private:
  V low_ = {};
  V high_ = {};
};

TALARIA_INLINE V load_integers(__mmask8 live, const i64* x) {
  return _mm512_maskz_loadu_epi64(live, x);
}
TALARIA_INLINE V load_integers(__mmask8 live, const i32* x) {
  return _mm512_cvtepi32_epi64(_mm256_maskz_loadu_epi32(live, x));
}

/// All of a row's inner products in one pass: eight or twelve sums that do not wait for each other
/// keep both multipliers busy.
template <class Sum, std::size_t Count, bool HasWords, bool HasIntegers, class Integer>
TALARIA_INLINE RowDots all_dots(const u8* row, const Integer* x, const CheckVectors& vectors,
                                std::size_t n, const Modulus& q) {
  const Words words(q.word_bytes);
  const V vq = set(q.q);
  Sum of_words[Count], of_integers[Count];
  V largest = _mm512_setzero_si512();
  const auto step = [&](std::size_t i, std::size_t count) __attribute__((always_inline)) {
    const __mmask8 live = first_lanes8(count);
    V z[Count];
#pragma GCC unroll 3
    for (std::size_t v = 0; v < Count; ++v) z[v] = _mm512_maskz_loadu_epi64(live, vectors.z[v] + i);
    if (HasWords) {
      const V word = words.load(row + i * words.bytes(), count);
      largest = _mm512_max_epu64(largest, word);
#pragma GCC unroll 3
      for (std::size_t v = 0; v < Count; ++v) of_words[v].add(word, z[v]);
    }
    if (HasIntegers) {
      const V integer = add_if_negative(load_integers(live, x + i), vq);
#pragma GCC unroll 3
      for (std::size_t v = 0; v < Count; ++v) of_integers[v].add(integer, z[v]);
    }
  };
  const auto carry = [&]() __attribute__((always_inline)) {
    for (Sum* sums : {of_words, of_integers})
      for (std::size_t v = 0; v < Count; ++v) sums[v].carry();
  };
  std::size_t i = 0;
  while (i + 8 <= n) {
    const std::size_t end = n - i > 8 * Sum::kCarryEvery ? i + 8 * Sum::kCarryEvery : n;
    for (; i + 8 <= end; i += 8) step(i, 8);
    carry();
  }
  if (i < n) step(i, n - i);
  carry();
  RowDots out;
  for (std::size_t v = 0; v < Count; ++v) {
    if (HasWords) out.words[v] = of_words[v].total(q);
    if (HasIntegers) out.integers[v] = of_integers[v].total(q);
  }
  out.below = !HasWords || _mm512_cmplt_epu64_mask(largest, vq) == 0xff;
  return out;
}

template <class Sum, std::size_t Count, class Integer>
RowDots dots_by(const u8* row, const Integer* x, const CheckVectors& z, std::size_t n,
                const Modulus& q) {
  if (row == nullptr) return all_dots<Sum, Count, false, true>(row, x, z, n, q);
  if (x == nullptr) return all_dots<Sum, Count, true, false>(row, x, z, n, q);
  return all_dots<Sum, Count, true, true>(row, x, z, n, q);
}

template <std::size_t Count, class Integer>
RowDots dots_of(const u8* row, const Integer* x, const CheckVectors& z, std::size_t n,
                const Modulus& q) {
  return q.bits <= kIfmaBits ? dots_by<IfmaSum, Count>(row, x, z, n, q)
                             : dots_by<LongSplitSum, Count>(row, x, z, n, q);
}

template <class Integer>
RowDots dots(const u8* row, const Integer* x, const CheckVectors& z, std::size_t n,
             const Modulus& q) {
  if (row == nullptr && x == nullptr) return {};
  return z.count == 2 ? dots_of<2>(row, x, z, n, q) : dots_of<3>(row, x, z, n, q);
}

template <bool Masked>
TALARIA_INLINE void mask_words(const i32* x, const u8* u, u8* out, std::size_t n, int delta_bits,
                               const Modulus& q) {
  const Words words(q.word_bytes);
  const V vq = set(q.q);
  const __m128i shift = _mm_cvtsi32_si128(delta_bits);
  by_eights(
      n, [&](std::size_t i, auto count) __attribute__((always_inline)) {
        const __m256i v = _mm256_maskz_loadu_epi32(first_lanes8(count), x + i);
        V t = _mm512_sll_epi64(_mm512_cvtepi32_epi64(v), shift);
        if (Masked) t = _mm512_add_epi64(t, words.load(u + i * words.bytes(), count));
        t = subtract_once(add_if_negative(t, vq), vq);
        words.store(out + i * words.bytes(), t, count);
      });
}

template <bool Masked>
TALARIA_INLINE void decode_words(const u8* y, const u8* v, i64* r, std::size_t n, int delta_bits,
                                 const Modulus& q) {
  const Words words(q.word_bytes);
  const u64 most = (q.q - 1) / 2; // c + most is in [0, q)
  const u64 half = delta_bits > 0 ? u64{1} << (delta_bits - 1) : 0;
  const V vq = set(q.q), offset = set(most), back = set(half - most);
  const __m128i shift = _mm_cvtsi32_si128(delta_bits);
  by_eights(
      n, [&](std::size_t i, auto count) __attribute__((always_inline)) {
        V t = _mm512_add_epi64(words.load(y + i * words.bytes(), count), offset);
        if (Masked) t = _mm512_sub_epi64(t, words.load(v + i * words.bytes(), count));
        t = subtract_once(add_if_negative(t, vq), vq);
        t = _mm512_sra_epi64(_mm512_add_epi64(t, back), shift);
        _mm512_mask_storeu_epi64(r + i, first_lanes8(count), t);
      });
}

/// WordRounding::operator() for moduli of at most 48 bits.
class Rounder {
public:
  __attribute__((always_inline)) explicit Rounder(const WordRounding& to)
      : p_(set(to.p.q)), q_(set(to.q.q)), two_q_(set(2 * to.q.q)), half_(set(to.q.q / 2)),
        minus_q_(set((u64{1} << 52) - to.q.q)), ratio_(set(to.ratio52)) {}

  __attribute__((always_inline)) V operator()(V x) const {
    const V quotient = _mm512_madd52hi_epu64(_mm512_setzero_si512(), x, ratio_);
    const V rest = _mm512_and_si512(
        _mm512_madd52lo_epu64(_mm512_madd52lo_epu64(half_, x, p_), quotient, minus_q_),
        set((u64{1} << 52) - 1));
    const V one = set(1);
    V nearest = _mm512_mask_add_epi64(quotient, _mm512_cmpge_epu64_mask(rest, q_), quotient, one);
    nearest = _mm512_mask_add_epi64(nearest, _mm512_cmpge_epu64_mask(rest, two_q_), nearest, one);
    return subtract_once(nearest, p_);
  }

private:
  V p_;
  V q_;
  V two_q_;
  V half_;
  V minus_q_; ///< modulo 2^52
  V ratio_;
};

/// Sixty-four words of one row of eight tiles, with errors if there are any; `line` has 64 bytes
/// more.
template <bool Errors, bool Rounds>
TALARIA_INLINE void assemble(const u64* tiles, std::size_t tile_stride, const i8* errors,
                             const Words& words, V q, const Rounder& round, u8* line) {
  constexpr std::size_t kTiles = 8;
#pragma GCC unroll 8
  for (std::size_t t = 0; t < kTiles; ++t, line += 8 * words.bytes()) {
    V v = _mm512_load_si512(tiles + t * tile_stride);
    if (Errors) {
      const __m128i e = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(errors + 8 * t));
      v = _mm512_add_epi64(v, _mm512_cvtepi8_epi64(e));
      v = subtract_once(add_if_negative(v, q), q);
    }
    if (Rounds) v = round(v);
    words.store_over(line, v);
  }
}

template <bool Errors, bool Rounds>
void assemble_rows(const u64* tiles, std::size_t tile_stride, const i8* errors, std::size_t n,
                   std::size_t columns, u8* out, std::size_t stride, const WordRounding& to) {
  constexpr std::size_t kColumns = 64;
  const Words words(to.p.word_bytes);
  const V vq = set(to.q.q);
  const Rounder round(to);
  const std::size_t bytes = columns * words.bytes();
  const bool lines =
      columns == kColumns && (reinterpret_cast<std::uintptr_t>(out) | stride) % 64 == 0;
  alignas(64) u8 line[kColumns * 8 + 64];
  for (std::size_t r = 0; r < n; ++r, tiles += 8, errors += Errors ? kColumns : 0, out += stride) {
    assemble<Errors, Rounds>(tiles, tile_stride, errors, words, vq, round, line);
    if (lines) {
      for (std::size_t b = 0; b < bytes; b += 64)
        _mm512_stream_si512(reinterpret_cast<V*>(out + b), _mm512_load_si512(line + b));
    } else {
      for (std::size_t b = 0; b < bytes; b += 64)
        _mm512_mask_storeu_epi8(out + b, first_bytes(bytes - b), _mm512_load_si512(line + b));
    }
  }
  if (lines) _mm_sfence(); // others may read the rows as soon as this returns
}

} // namespace

void mask_row(const i32* x, const u8* u, u8* out, std::size_t n, int delta_bits, const Modulus& q) {
  if (u != nullptr)
    mask_words<true>(x, u, out, n, delta_bits, q);
  else
    mask_words<false>(x, u, out, n, delta_bits, q);
}

void decode_row(const u8* y, const u8* v, i64* r, std::size_t n, int delta_bits, const Modulus& q) {
  if (v != nullptr)
    decode_words<true>(y, v, r, n, delta_bits, q);
  else
    decode_words<false>(y, v, r, n, delta_bits, q);
}

RowDots row_dots(const u8* words, const i64* x, const CheckVectors& z, std::size_t n,
                 const Modulus& q) {
  return dots(words, x, z, n, q);
}

RowDots row_dots32(const u8* words, const i32* x, const CheckVectors& z, std::size_t n,
                   const Modulus& q) {
  return dots(words, x, z, n, q);
}

void centered_binomial21(const u8* bytes, i8* out, std::size_t n) {
  const Words words(6);
  const V coins = set((u64{1} << 21) - 1);
  by_eights(
      n, [&](std::size_t i, auto count) __attribute__((always_inline)) {
        const V w = words.load(bytes + 6 * i, count);
        const V plus = _mm512_popcnt_epi64(_mm512_and_si512(w, coins));
        const V minus = _mm512_popcnt_epi64(_mm512_and_si512(_mm512_srli_epi64(w, 21), coins));
        _mm512_mask_cvtepi64_storeu_epi8(out + i, first_lanes8(count),
                                         _mm512_sub_epi64(plus, minus));
      });
}

void mask_rows(const u64* tiles, std::size_t tile_stride, const i8* errors, std::size_t n,
               std::size_t columns, u8* out, std::size_t stride, const WordRounding& to) {
  if (to.rounds() && to.q.bits > kIfmaBits)
    return reference::mask_rows(tiles, tile_stride, errors, n, columns, out, stride, to);
  const auto assemble =
      to.rounds() ? (errors != nullptr ? assemble_rows<true, true> : assemble_rows<false, true>)
                  : (errors != nullptr ? assemble_rows<true, false> : assemble_rows<false, false>);
  assemble(tiles, tile_stride, errors, n, columns, out, stride, to);
}

void pack_words(const u64* x, u8* out, std::size_t n, const Modulus& q) {
  const Words words(q.word_bytes);
  by_eights(
      n, [&](std::size_t i, auto count) __attribute__((always_inline)) {
        words.store(out + i * words.bytes(), _mm512_maskz_loadu_epi64(first_lanes8(count), x + i),
                    count);
      });
}

void unpack_words(const u8* in, u64* out, std::size_t n, const Modulus& q) {
  const Words words(q.word_bytes);
  by_eights(
      n, [&](std::size_t i, auto count) __attribute__((always_inline)) {
        const V v = words.load(in + i * words.bytes(), count);
        _mm512_mask_storeu_epi64(out + i, first_lanes8(count), v);
      });
}

} // namespace talaria::kernels::avx512
