#pragma once

#include <array>
#include <cstddef>
#include <set>
#include <span>
#include <vector>

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

  /// @param cuts  first columns of the shards, as LinearSpec has them.
  FloatCheck(const kernels::PackedWeights& weights, Rng& rng,
             std::span<const std::size_t> cuts = {});

  /// For a row of d_in values that is sent.
  Expected expect(const float* c) const { return expect(c, parts_.front()); }
  /// Whether `columns` values may be its product; false if one is not finite.
  bool accepts(const float* y, const Expected& expected) const {
    return accepts(y, expected, parts_.front());
  }
  /// Adds to `wrong` the shards of `columns` values received that cannot be the product of the d_in
  /// values sent. Nothing if there is one shard.
  void find_wrong_shards(const float* sent, const float* received,
                         std::set<std::size_t>& wrong) const;

private:
  struct Part {
    std::size_t first = 0; ///< column
    std::size_t count = 0;
    std::array<SecretBuffer<double>, kVectors> t; ///< [d_in], of these columns
    AlignedBuffer<double> row_sum;                ///< [d_in], sum_j |W_ij| over them
  };
  Expected expect(const float* c, const Part& part) const;
  bool accepts(const float* y, const Expected& expected, const Part& part) const;

  std::array<SecretBuffer<double>, kVectors> z_; ///< [columns], -1 or 1
  std::vector<Part> parts_; ///< the whole, then its shards if there are several
};

} // namespace talaria::remo
