#pragma once

#include <immintrin.h>

#include <cstddef>
#include <type_traits>

#include "core/integers.hpp"

// Everything in the headers of this folder has internal linkage: an inline function with external
// linkage, compiled here with AVX-512, might be the copy that the linker keeps for the whole
// program.
namespace talaria::kernels::avx512 {

namespace {

using V = __m512i; ///< eight lanes of 64 bits, or 64 bytes
using F = __m512;

#define TALARIA_INLINE static inline __attribute__((always_inline))

TALARIA_INLINE V set(u64 v) {
  return _mm512_set1_epi64(static_cast<i64>(v));
}

/// x mod m for x < 2 m, or x + m for a negative x >= -m seen as unsigned.
TALARIA_INLINE V subtract_once(V x, V m) {
  return _mm512_min_epu64(x, _mm512_sub_epi64(x, m));
}
TALARIA_INLINE V add_if_negative(V x, V m) {
  return _mm512_min_epu64(x, _mm512_add_epi64(x, m));
}

TALARIA_INLINE __mmask64 first_bytes(std::size_t count) {
  return count >= 64 ? ~__mmask64{0} : (__mmask64{1} << count) - 1;
}
TALARIA_INLINE __mmask8 first_lanes8(std::size_t count) {
  return static_cast<__mmask8>(count >= 8 ? 0xffu : (1u << count) - 1);
}
TALARIA_INLINE __mmask16 first_lanes16(std::size_t count) {
  return static_cast<__mmask16>(count >= 16 ? 0xffffu : (1u << count) - 1);
}

struct ByteTable {
  u8 index[9][64];
};

/// [bytes per word]: where each byte of eight 64-bit lanes stands in eight packed words.
constexpr ByteTable make_spread() {
  ByteTable t{};
  for (unsigned bytes = 1; bytes <= 8; ++bytes)
    for (unsigned i = 0; i < 64; ++i)
      t.index[bytes][i] = static_cast<u8>(i / 8 * bytes + (i % 8 < bytes ? i % 8 : bytes - 1));
  return t;
}
/// The inverse: where each byte of packed words stands in 64-bit lanes.
constexpr ByteTable make_gather() {
  ByteTable t{};
  for (unsigned bytes = 1; bytes <= 8; ++bytes)
    for (unsigned i = 0; i < 8 * bytes; ++i)
      t.index[bytes][i] = static_cast<u8>(i / bytes * 8 + i % bytes);
  return t;
}
alignas(64) constexpr ByteTable kSpread = make_spread();
alignas(64) constexpr ByteTable kGather = make_gather();

/// Eight packed words of 1 to 8 bytes, and back. Touches no byte outside the words asked for, but
/// for store_over().
class Words {
public:
  __attribute__((always_inline)) explicit Words(int bytes)
      : bytes_(static_cast<std::size_t>(bytes)), spread_(_mm512_loadu_si512(kSpread.index[bytes_])),
        gather_(_mm512_loadu_si512(kGather.index[bytes_])), whole_(first_bytes(8 * bytes_)),
        used_((0xffu >> (8 - bytes_)) * __mmask64{0x0101010101010101}) {}

  __attribute__((always_inline)) std::size_t bytes() const { return bytes_; }
  __attribute__((always_inline)) V load(const u8* p) const { return spread(p, whole_); }
  __attribute__((always_inline)) V load(const u8* p, std::size_t count) const {
    return spread(p, first_bytes(count * bytes_));
  }
  __attribute__((always_inline)) void store(u8* p, V v) const { gather(p, v, whole_); }
  /// The same, with anything in the rest of the 64 bytes from p on.
  __attribute__((always_inline)) void store_over(u8* p, V v) const {
    _mm512_storeu_si512(p, _mm512_permutexvar_epi8(gather_, v));
  }
  __attribute__((always_inline)) void store(u8* p, V v, std::size_t count) const {
    gather(p, v, first_bytes(count * bytes_));
  }

private:
  __attribute__((always_inline)) V spread(const u8* p, __mmask64 live) const {
    return _mm512_maskz_permutexvar_epi8(used_, spread_, _mm512_maskz_loadu_epi8(live, p));
  }
  __attribute__((always_inline)) void gather(u8* p, V v, __mmask64 live) const {
    _mm512_mask_storeu_epi8(p, live, _mm512_permutexvar_epi8(gather_, v));
  }
  std::size_t bytes_;
  V spread_;
  V gather_;
  __mmask64 whole_;
  __mmask64 used_;
};

/// Calls step(i, count) for i = 0, 8, ... with count = 8, at the end less.
template <class Step>
TALARIA_INLINE void by_eights(std::size_t n, Step step) {
  std::size_t i = 0;
  for (; i + 8 <= n; i += 8) step(i, std::integral_constant<std::size_t, 8>{});
  if (i < n) step(i, n - i);
}

} // namespace
} // namespace talaria::kernels::avx512
