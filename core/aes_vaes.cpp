#include "core/aes_vaes.hpp"

#include <immintrin.h>

// Compiled for AVX-512 and VAES; see available() in aes_rng.cpp, which is not.

namespace talaria::vaes {
namespace {

using V = __m512i;
constexpr int kRounds = 14;

/// a[i] becomes a[0] ^ ... ^ a[i] ^ word, in words of 32 bits.
inline __m128i running_xor(__m128i a, __m128i word) {
  a = _mm_xor_si128(a, _mm_slli_si128(a, 4));
  a = _mm_xor_si128(a, _mm_slli_si128(a, 8));
  return _mm_xor_si128(a, word);
}

/// The next two round keys from the last two.
template <int Rcon>
inline void next_keys(__m128i& even, __m128i& odd) {
  even = running_xor(even, _mm_shuffle_epi32(_mm_aeskeygenassist_si128(odd, Rcon), 0xff));
  odd = running_xor(odd, _mm_shuffle_epi32(_mm_aeskeygenassist_si128(even, 0), 0xaa));
}

} // namespace

void expand_key(std::span<const u8, 32> key, u8* round_keys) noexcept {
  auto* out = reinterpret_cast<__m128i*>(round_keys);
  __m128i even = _mm_loadu_si128(reinterpret_cast<const __m128i*>(key.data()));
  __m128i odd = _mm_loadu_si128(reinterpret_cast<const __m128i*>(key.data() + 16));
  const auto store = [&] {
    _mm_storeu_si128(out++, even);
    _mm_storeu_si128(out++, odd);
  };
  store();
  next_keys<1>(even, odd);
  store();
  next_keys<2>(even, odd);
  store();
  next_keys<4>(even, odd);
  store();
  next_keys<8>(even, odd);
  store();
  next_keys<16>(even, odd);
  store();
  next_keys<32>(even, odd);
  store();
  next_keys<64>(even, odd);
  _mm_storeu_si128(out, even);
}

void keystream(const u8* round_keys, u64 first, std::size_t blocks, u8* out) noexcept {
  constexpr std::size_t kVectors = 4; // of four blocks: one alone would wait for its own rounds
  V key[kRounds + 1];
  for (int r = 0; r <= kRounds; ++r)
    key[r] = _mm512_broadcast_i32x4(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(round_keys + 16 * r)));
  // The upper half of every number is zero, the lower one the counter with its bytes reversed.
  const V reverse = _mm512_broadcast_i32x4(
      _mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, -1, -1, -1, -1, -1, -1, -1, -1));
  const auto lane = [first](u64 i) { return static_cast<long long>(first + i); };
  V counter = _mm512_set_epi64(lane(3), 0, lane(2), 0, lane(1), 0, lane(0), 0);
  const V four = _mm512_set_epi64(4, 0, 4, 0, 4, 0, 4, 0);
  for (std::size_t left = 16 * blocks; left > 0;) {
    V x[kVectors];
#pragma GCC unroll 4
    for (V& v : x) {
      v = _mm512_xor_si512(_mm512_shuffle_epi8(counter, reverse), key[0]);
      counter = _mm512_add_epi64(counter, four);
    }
#pragma GCC unroll 16
    for (int r = 1; r < kRounds; ++r)
#pragma GCC unroll 4
      for (V& v : x) v = _mm512_aesenc_epi128(v, key[r]);
    for (V& v : x) {
      v = _mm512_aesenclast_epi128(v, key[kRounds]);
      const std::size_t bytes = left < 64 ? left : 64;
      const __mmask64 live = bytes == 64 ? ~__mmask64{0} : (__mmask64{1} << bytes) - 1;
      _mm512_mask_storeu_epi8(out, live, v);
      out += bytes;
      left -= bytes;
    }
  }
}

} // namespace talaria::vaes
