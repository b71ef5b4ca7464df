#pragma once

#include "core/integers.hpp"
#include "kernels/ntt_plan.hpp"

namespace talaria::kernels::reference {

// Arithmetic modulo q without divisions or branches, so that its time does not depend on values.

/// x - m if x >= m, else x; for x < 2^63.
inline u64 reduce_once(u64 x, u64 m) {
  const u64 d = x - m;
  return d + (m & (u64{0} - (d >> 63)));
}
inline u64 add_mod(u64 a, u64 b, u64 q) {
  return reduce_once(a + b, q);
}
inline u64 sub_mod(u64 a, u64 b, u64 q) {
  return reduce_once(a + q - b, q);
}

/// The upper half of a b.
inline u64 high(u64 a, u64 b) {
  return static_cast<u64>(u128{a} * b >> 64);
}

/// a w mod q, for any a: Shoup's product by a constant.
inline u64 mul_constant(u64 a, const NttPlan::Twiddle& t, u64 q) {
  return reduce_once(a * t.w - high(a, t.shoup64) * q, q);
}

/// Reduces sums of up to 128 bits.
class Reducer {
public:
  explicit Reducer(u64 modulus)
      : q_(modulus), one_(static_cast<u64>((u128{1} << 64) / modulus)),
        wrap_(static_cast<u64>((u128{1} << 64) % modulus)),
        wrap_shoup_(static_cast<u64>((u128{wrap_} << 64) / modulus)) {}

  /// x mod q = high 2^64 + low mod q: both parts come out below 2 q.
  u64 operator()(u128 x) const {
    const u64 low = static_cast<u64>(x), top = static_cast<u64>(x >> 64);
    const u64 a = low - high(low, one_) * q_;
    const u64 b = top * wrap_ - high(top, wrap_shoup_) * q_;
    return reduce_once(reduce_once(a + b, 2 * q_), q_);
  }

private:
  u64 q_;
  u64 one_;
  u64 wrap_;
  u64 wrap_shoup_;
};

} // namespace talaria::kernels::reference
