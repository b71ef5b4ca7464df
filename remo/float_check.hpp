#pragma once

#include <array>
#include <cstddef>

#include "core/random.hpp"
#include "core/secret.hpp"
#include "kernels/packed_weights.hpp"

namespace talaria::remo {

/// Freivalds' check for fp32 products, with two secret sign vectors z and t = W z. **Approximate**:
/// it accepts whatever lies within the rounding errors an honest worker may make in any order of
/// summation,
///   |y.z - c.t| <= 1.05 d_in 2^-24 sum_i |c_i| sum_j |W_ij|,
/// so a lie that small passes, and a larger one passes with probability up to 1/4.
class FloatCheck {
public:
  static constexpr std::size_t kVectors = 2;
  struct Expected {
    std::array<double, kVectors> sum{}; ///< c.t
    double tolerance = 0;
  };

  FloatCheck(const kernels::PackedWeights& weights, Rng& rng);

  /// For a row of d_in values that is sent.
  Expected expect(const float* c) const;
  /// Whether `columns` values may be its product; false if one is not finite.
  bool accepts(const float* y, const Expected& expected) const;

private:
  std::array<SecretBuffer<double>, kVectors> z_; ///< [columns], -1 or 1
  std::array<SecretBuffer<double>, kVectors> t_; ///< [d_in]
  AlignedBuffer<double> row_sum_;                ///< [d_in], sum_j |W_ij|
};

} // namespace talaria::remo
