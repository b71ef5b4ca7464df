#pragma once

#include <bit>
#include <cstddef>
#include <cstring>

#include "core/integers.hpp"

namespace talaria::kernels {

/// A prime q < 2^54 and the number of bytes of one residue on the wire and in stored masks.
struct Modulus {
  u64 q = 0;
  int bits = 0;       ///< bit length of q
  int word_bytes = 0; ///< ceil(bits / 8): a residue in [0, q) is `word_bytes` little-endian bytes

  constexpr Modulus() = default;
  constexpr explicit Modulus(u64 prime) : q(prime) {
    while (bits < 64 && (prime >> bits) != 0) ++bits;
    word_bytes = (bits + 7) / 8;
  }
  /// a + b mod q for a, b in [0, q).
  constexpr u64 add(u64 a, u64 b) const {
    const u64 s = a + b;
    return s >= q ? s - q : s;
  }
  /// a - b mod q for a, b in [0, q).
  constexpr u64 sub(u64 a, u64 b) const { return a >= b ? a - b : a + q - b; }
  /// a b mod q for any a, b < 2^64.
  constexpr u64 mul(u64 a, u64 b) const { return static_cast<u64>(u128{a} * b % q); }
  constexpr u64 pow(u64 a, u64 e) const {
    u64 r = 1;
    for (; e != 0; e >>= 1, a = mul(a, a))
      if (e & 1) r = mul(r, a);
    return r;
  }
  /// a^-1 for a != 0; q must be prime.
  constexpr u64 inverse(u64 a) const { return pow(a, q - 2); }
  /// The residue of a signed integer.
  constexpr u64 from_signed(i64 a) const {
    const i64 r = a % static_cast<i64>(q);
    return static_cast<u64>(r < 0 ? r + static_cast<i64>(q) : r);
  }
  /// The representative in (-q/2, q/2].
  constexpr i64 centered(u64 a) const {
    return a > q / 2 ? static_cast<i64>(a) - static_cast<i64>(q) : static_cast<i64>(a);
  }
};

/// Reads the little-endian word of `bytes` bytes at `p`.
inline u64 load_word(const u8* p, int bytes) {
  if (std::endian::native == std::endian::little && bytes >= 4) {
    u32 low, high; // two reads that overlap
    std::memcpy(&low, p, 4);
    std::memcpy(&high, p + bytes - 4, 4);
    return low | u64{high} << (8 * (bytes - 4));
  }
  u64 v = 0;
  for (int i = 0; i < bytes; ++i) v |= u64{p[i]} << (8 * i);
  return v;
}
/// Writes the low `bytes` bytes of `v` at `p`, little-endian.
inline void store_word(u8* p, u64 v, int bytes) {
  if (std::endian::native == std::endian::little && bytes >= 4) {
    const u32 low = static_cast<u32>(v);
    const u32 high = static_cast<u32>(v >> (8 * (bytes - 4)));
    std::memcpy(p, &low, 4);
    std::memcpy(p + bytes - 4, &high, 4);
    return;
  }
  for (int i = 0; i < bytes; ++i) p[i] = static_cast<u8>(v >> (8 * i));
}

} // namespace talaria::kernels
