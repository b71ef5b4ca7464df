#pragma once

#include <immintrin.h>

#include <cstddef>

#include "core/integers.hpp"

// Everything in the headers of this folder has internal linkage: an inline function with external
// linkage, compiled here with AVX2, might be the copy that the linker keeps for the whole program.
namespace talaria::kernels::avx2 {

namespace {

using V = __m256i; ///< four lanes of 64 bits
using D = __m256d;
using F = __m256;

#define TALARIA_INLINE static inline __attribute__((always_inline))

TALARIA_INLINE V set(u64 v) {
  return _mm256_set1_epi64x(static_cast<i64>(v));
}
TALARIA_INLINE V loadu(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
TALARIA_INLINE void storeu(void* p, V v) {
  _mm256_storeu_si256(static_cast<__m256i*>(p), v);
}

TALARIA_INLINE V add_if_negative(V x, V m) {
  const V negative = _mm256_cmpgt_epi64(_mm256_setzero_si256(), x);
  return _mm256_add_epi64(x, _mm256_and_si256(negative, m));
}
/// x mod m for x < 2 m.
TALARIA_INLINE V subtract_once(V x, V m) {
  return add_if_negative(_mm256_sub_epi64(x, m), m);
}

/// Integers below 2^52 to doubles and back: the mantissa of 2^52 + x is x.
constexpr u64 kMagic = 0x4330000000000000;
TALARIA_INLINE D to_double(V x) {
  return _mm256_sub_pd(_mm256_castsi256_pd(_mm256_or_si256(x, set(kMagic))),
                       _mm256_set1_pd(0x1p52));
}
TALARIA_INLINE V to_integer(D x) {
  return _mm256_xor_si256(_mm256_castpd_si256(_mm256_add_pd(x, _mm256_set1_pd(0x1p52))),
                          set(kMagic));
}

constexpr int kFewestBytes = 4; ///< of a word that Words handles
constexpr u8 kNothing = 0x80;   ///< a shuffle index that yields zero

/// Byte shuffles for words of `bytes` bytes, four words at a time in two overlapping halves of 16
/// bytes: at the first byte, and up to the last.
struct WordShuffles {
  u8 spread[32] = {}; ///< halves to 64-bit lanes
  u8 gather[32] = {}; ///< 64-bit lanes to the first bytes of the low half, last of the high
  u8 to_low[16] = {};
  u8 to_high[16] = {};
};
struct AllShuffles {
  WordShuffles of[8]; ///< [bytes per word]
};
constexpr AllShuffles make_shuffles() {
  AllShuffles all{};
  for (unsigned bytes = kFewestBytes; bytes < 8; ++bytes) {
    WordShuffles& s = all.of[bytes];
    const unsigned gap = 16 - 2 * bytes;
    for (unsigned i = 0; i < 32; ++i) s.spread[i] = s.gather[i] = kNothing;
    for (unsigned i = 0; i < 16; ++i) s.to_low[i] = s.to_high[i] = kNothing;
    for (unsigned word = 0; word < 2; ++word)
      for (unsigned i = 0; i < bytes; ++i) {
        const unsigned packed = word * bytes + i, lane = word * 8 + i;
        s.spread[lane] = static_cast<u8>(packed);
        s.spread[16 + lane] = static_cast<u8>(gap + packed);
        s.gather[packed] = static_cast<u8>(lane);
        s.gather[16 + gap + packed] = static_cast<u8>(lane);
      }
    for (unsigned i = 0; i < gap; ++i) {
      s.to_low[2 * bytes + i] = static_cast<u8>(gap + i);
      s.to_high[i] = static_cast<u8>(2 * bytes - gap + i);
    }
  }
  return all;
}
constexpr AllShuffles kShuffles = make_shuffles();

/// Four packed words of 4 to 7 bytes, and back. Touches no other byte.
class Words {
public:
  __attribute__((always_inline)) explicit Words(int bytes)
      : bytes_(static_cast<std::size_t>(bytes)), spread_(loadu(kShuffles.of[bytes_].spread)),
        gather_(loadu(kShuffles.of[bytes_].gather)), to_low_(load(kShuffles.of[bytes_].to_low)),
        to_high_(load(kShuffles.of[bytes_].to_high)) {}

  __attribute__((always_inline)) std::size_t bytes() const { return bytes_; }
  __attribute__((always_inline)) V load4(const u8* p) const {
    const V halves = _mm256_set_m128i(load(p + 4 * bytes_ - 16), load(p));
    return _mm256_shuffle_epi8(halves, spread_);
  }
  __attribute__((always_inline)) void store4(u8* p, V v) const {
    const V packed = _mm256_shuffle_epi8(v, gather_);
    const __m128i low = _mm256_castsi256_si128(packed);
    const __m128i high = _mm256_extracti128_si256(packed, 1);
    store(p, _mm_or_si128(low, _mm_shuffle_epi8(high, to_low_)));
    store(p + 4 * bytes_ - 16, _mm_or_si128(high, _mm_shuffle_epi8(low, to_high_)));
  }

private:
  static __attribute__((always_inline)) __m128i load(const u8* p) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  }
  static __attribute__((always_inline)) void store(u8* p, __m128i v) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), v);
  }
  std::size_t bytes_;
  V spread_;
  V gather_;
  __m128i to_low_;
  __m128i to_high_;
};

} // namespace
} // namespace talaria::kernels::avx2
