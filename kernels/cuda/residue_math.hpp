#pragma once

#include <bit>
#include <cstddef>

#include "core/integers.hpp"
#include "kernels/modulus.hpp"

#if defined(__CUDACC__)
#define TALARIA_BOTH_SIDES __host__ __device__
#else
#define TALARIA_BOTH_SIDES
#endif

/// What a CUDA thread computes with one residue or one output, as functions that run on the CPU as
/// well: there they are compared with the reference kernels on every machine.
namespace talaria::kernels::cuda {

inline constexpr int kLeastLimbs = 4;
inline constexpr int kMaxLimbs = 7;

/// The upper half of a b.
TALARIA_BOTH_SIDES inline u64 high_product(u64 a, u64 b) {
#if defined(__CUDA_ARCH__)
  return __umul64hi(a, b);
#else
  return static_cast<u64>(u128{a} * b >> 64);
#endif
}

/// The little-endian word of kBytes <= 8 bytes at `p`, at any alignment.
template <int kBytes>
TALARIA_BOTH_SIDES inline u64 word_at(const u8* p) {
  u64 word = 0;
  for (int b = 0; b < kBytes; ++b) word |= static_cast<u64>(p[b]) << (8 * b);
  return word;
}

/// Cuts a residue into signed 8-bit limbs: x = sum_l digit_l 256^l mod q, digits in [-128, 127].
/// As many limbs as a word has bytes hold every residue, since q <= 256^limbs.
struct LimbFormat {
  u64 q = 0;
  u64 largest = 0; ///< 127 (256^limbs - 1) / 255; a larger residue x stands as x - q
  u64 bias = 0;    ///< 128 (256^limbs - 1) / 255
  int limbs = 0;

  LimbFormat() = default;
  explicit LimbFormat(const Modulus& modulus) : q(modulus.q), limbs(modulus.word_bytes) {
    for (int l = 0; l < limbs; ++l) {
      largest |= u64{127} << (8 * l);
      bias |= u64{128} << (8 * l);
    }
  }
  /// Byte l of the result is digit l. `residue` < q.
  TALARIA_BOTH_SIDES u64 digits(u64 residue) const {
    const u64 centred = residue > largest ? residue - q : residue;
    return (centred + bias) ^ bias;
  }
};

/// Puts the int32 sums of the limbs together: sum_l s[l] 256^l mod q, for any int32 s[l] of up to
/// kMaxLimbs limbs and q < 2^54. Horner's rule in two steps of four limbs and three, each in 64
/// bits:
///   low = s[0..3] < 2^55.1,  top = s[4..6] < 2^47.1,  result = top 2^32 + low mod q.
struct Recombination {
  u64 q = 0;
  u64 inverse = 0;    ///< floor(2^64 / q)
  u64 step = 0;       ///< 2^32 mod q
  u64 step_shoup = 0; ///< floor(step 2^64 / q)
  u64 low_offset = 0; ///< a multiple of q that makes low positive
  u64 top_offset = 0; ///< the same for top
  int limbs = 0;

  Recombination() = default;
  explicit Recombination(const Modulus& modulus)
      : q(modulus.q), inverse(static_cast<u64>((u128{1} << 64) / q)), step((u64{1} << 32) % q),
        step_shoup(static_cast<u64>((u128{step} << 64) / q)),
        low_offset(((u64{1} << 56) / q + 1) * q), top_offset(((u64{1} << 48) / q + 1) * q),
        limbs(modulus.word_bytes) {}

  /// @param kLimbs  as many as `limbs`, known to the compiler
  template <int kLimbs>
  TALARIA_BOTH_SIDES u64 word(const i32 (&s)[kLimbs]) const {
    static_assert(kLimbs >= kLeastLimbs && kLimbs <= kMaxLimbs);
    const i64 low = s[0] + (static_cast<i64>(s[1]) << 8) + (static_cast<i64>(s[2]) << 16) +
                    (static_cast<i64>(s[3]) << 24);
    i64 top = 0;
    for (int l = kLimbs - 1; l >= 4; --l) top = top * 256 + s[l];
    const u64 t = static_cast<u64>(top) + top_offset;
    const u64 raised = t * step - high_product(t, step_shoup) * q; // in [0, 2q)
    const u64 sum = raised + static_cast<u64>(low) + low_offset;   // below 2^58
    const u64 rest = sum - high_product(sum, inverse) * q;         // in [0, 2q)
    return rest >= q ? rest - q : rest;
  }
};

/// round(y q_d / q) mod q_d, as remo/public/reply_switch.hpp defines it, or nothing if
/// `reply_modulus` is 0.
struct ReplyFormat {
  u64 q = 0;
  u64 ratio = 0; ///< floor(2^64 q_d / q)
  u64 mask = 0;  ///< q_d - 1
  int shift = 0; ///< log2 q_d
  int bytes = 0; ///< of one value of a reply
  bool switched = false;

  ReplyFormat() = default;
  /// @param reply_modulus  a power of two below q, at least 2^24, or 0 for words mod q
  ReplyFormat(const Modulus& modulus, u64 reply_modulus)
      : q(modulus.q), bytes(modulus.word_bytes), switched(reply_modulus != 0) {
    if (!switched) return;
    shift = std::countr_zero(reply_modulus);
    ratio = static_cast<u64>((u128{reply_modulus} << 64) / q);
    mask = reply_modulus - 1;
    bytes = (shift + 7) / 8;
  }
  /// The value to send for the residue `y` < q in a switched reply.
  TALARIA_BOTH_SIDES u64 switched_value(u64 y) const {
    u64 quotient = high_product(y, ratio);                // floor(y q_d / q), or one less
    const u64 rest = (y << shift) + q / 2 - quotient * q; // below 2q, so wrapping does no harm
    if (rest >= q) ++quotient;
    return quotient & mask;
  }
};

/// Cuts a run of values of 4 to 7 bytes, packed without gaps, into the 4-byte pieces in which it is
/// written to memory.
struct Packing {
  int bytes = 0;
  u32 reciprocal = 0; ///< ceil(2^16 / bytes): n reciprocal >> 16 = n / bytes for n < 9000

  Packing() = default;
  explicit Packing(int value_bytes)
      : bytes(value_bytes), reciprocal(static_cast<u32>((65536 + value_bytes - 1) / value_bytes)) {}

  /// Bytes [at, at + 4) of the run, at < 9000. Reads one value behind the last one it needs.
  TALARIA_BOTH_SIDES u32 piece(const u64* values, u32 at) const {
    const u32 first = at * reciprocal >> 16;
    const u32 skipped = at - first * static_cast<u32>(bytes);
    const u64 rest = values[first] >> (8 * skipped);
    return static_cast<u32>(rest | values[first + 1] << (8 * (static_cast<u32>(bytes) - skipped)));
  }
  /// Byte `at` of the run, at < 9000.
  TALARIA_BOTH_SIDES u8 byte(const u64* values, u32 at) const {
    const u32 first = at * reciprocal >> 16;
    return static_cast<u8>(values[first] >> (8 * (at - first * static_cast<u32>(bytes))));
  }
};

} // namespace talaria::kernels::cuda
