#pragma once

#include <type_traits>

#include "core/integers.hpp"

/// Masks in the place of branches, for code whose time and addresses must not depend on a secret.
/// Plain integer arithmetic, so that compilers may use vectors; tests/oblivious watches what they
/// make of it.
namespace talaria::constant_time {

/// All ones if the number's top bit is set, else 0.
template <class T>
constexpr T top_bit_mask(T x) {
  static_assert(std::is_unsigned_v<T> && sizeof(T) >= sizeof(unsigned));
  return T{0} - (x >> (8 * sizeof(T) - 1));
}

/// All ones if a == b, else 0.
template <class T>
constexpr T equal(T a, T b) {
  const T difference = a ^ b;
  return ~top_bit_mask<T>(difference | (T{0} - difference));
}

/// All ones if a < b, else 0.
template <class T>
constexpr T less(T a, T b) {
  return top_bit_mask<T>(a ^ ((a ^ b) | ((a - b) ^ b)));
}

/// `a` where the mask is ones, `b` where it is zeros.
template <class T>
constexpr T choose(T mask, T a, T b) {
  return b ^ (mask & (a ^ b));
}

} // namespace talaria::constant_time
