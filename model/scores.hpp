#pragma once

#include <bit>

#include "core/constant_time.hpp"
#include "core/integers.hpp"

/// The arithmetic of sampling, the same for both ways to pick a token (sampler.cpp,
/// oblivious_sampling.cpp): no branch in it depends on a value.
namespace talaria::model::scores {

/// Orders scores as integers: a larger score has a larger rank, equal ones have equal ranks (the
/// two zeros too). No NaN.
inline u64 rank_of(double score) {
  const u64 bits = std::bit_cast<u64>(score + 0.0); // -0 + 0 is +0
  return bits ^ (constant_time::top_bit_mask(bits) | u64{1} << 63);
}
/// Its inverse.
inline double score_of(u64 rank) {
  const u64 negative = ~constant_time::top_bit_mask(rank);
  return std::bit_cast<double>(rank ^ (negative | u64{1} << 63));
}

/// exp(x) for x <= 0, to about 1 ulp; below -700 as at -700. Only sums and products in a written
/// order: the C library's exp may differ in the last bit from one CPU to another, and with it a
/// token.
inline double exp_fixed(double x) {
  constexpr double kLog2e = 1.4426950408889634;
  constexpr double kLn2High = 0x1.62e42fee00000p-1; // n * kLn2High is exact
  constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
  constexpr double kRounder = 0x1.8p52; // the last bit of what is added to it counts ones
  // Compilers make a branch of a comparison of doubles; for x <= 0 their bits compare as well.
  const u64 bits = std::bit_cast<u64>(x);
  const u64 inside = constant_time::less(bits & ~(u64{1} << 63), std::bit_cast<u64>(700.0));
  x = std::bit_cast<double>(constant_time::choose(inside, bits, std::bit_cast<u64>(-700.0)));
  const double shifted = x * kLog2e + kRounder;
  const double n = shifted - kRounder;
  const double r = (x - n * kLn2High) - n * kLn2Low; // |r| <= ln 2 / 2
  double sum = 1;
  for (int i = 13; i > 0; --i) sum = 1 + sum * r / i; // Taylor in Horner form
  const u64 exponent = std::bit_cast<u64>(shifted) - std::bit_cast<u64>(kRounder) + 1023;
  return sum * std::bit_cast<double>(exponent << 52);
}

/// What the best of `count` candidates weighs: the largest power of two with which no sum of
/// `count` weights exceeds 2^62. count >= 1.
inline u64 unit_weight(std::size_t count) {
  return u64{1} << (62 - std::bit_width(count));
}

/// exp((score - best) / temperature) in units of 1 / unit, rounded: softmax without the common
/// divisor. An integer, so that sums do not depend on the order of their terms.
inline u64 weight(double score, double best, double temperature, u64 unit) {
  const double share = exp_fixed((score - best) / temperature);
  return static_cast<u64>(
      static_cast<i64>(share * static_cast<double>(static_cast<i64>(unit)) + 0.5));
}

/// The least weight that is no less than the part `p` of `total`, 0 < p < 1, total <= 2^62.
inline u64 part_of(u64 total, double p) {
  const double part = p * static_cast<double>(static_cast<i64>(total));
  const i64 below = static_cast<i64>(part);
  return static_cast<u64>(below + static_cast<i64>(static_cast<double>(below) < part));
}

/// What a candidate has to weigh that is at least the part `p` as likely as the best, 0 <= p <= 1.
inline u64 least_weight(u64 unit, double p) {
  return p < 1 ? part_of(unit, p) : unit;
}

/// floor(uniform total) for `uniform` in [0, 1) given by the upper 53 of 64 random bits.
inline u64 target_of(u64 random, u64 total) {
  return static_cast<u64>(u128{random >> 11} * total >> 53);
}

} // namespace talaria::model::scores
