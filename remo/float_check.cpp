#include "remo/float_check.hpp"

#include <cmath>

#include "kernels/kernel_set.hpp"
#include "remo/public/parameters.hpp"

namespace talaria::remo {

FloatCheck::FloatCheck(const kernels::PackedWeights& weights, Rng& rng) : row_sum_(weights.d_in()) {
  const kernels::Modulus q = kDefaultParameters.modulus(); // far above any |t_i|: t is exact
  for (std::size_t v = 0; v < kVectors; ++v) {
    z_[v] = SecretBuffer<double>(weights.d_out());
    t_[v] = SecretBuffer<double>(weights.d_in());
    SecretBuffer<u64> z(weights.d_out());
    SecretBuffer<u64> t(weights.d_in());
    for (std::size_t j = 0; j < weights.d_out(); ++j) {
      const bool minus = rng.below(2) == 1;
      z[j] = minus ? q.q - 1 : 1;
      z_[v][j] = minus ? -1 : 1;
    }
    kernels::weight_dot(weights, z.data(), t.data(), q);
    for (std::size_t i = 0; i < weights.d_in(); ++i)
      t_[v][i] = static_cast<double>(q.centered(t[i]));
  }
  for (std::size_t i = 0; i < weights.d_in(); ++i)
    for (std::size_t j = 0; j < weights.d_out(); ++j) row_sum_[i] += std::abs(weights.at(i, j));
}

FloatCheck::Expected FloatCheck::expect(const float* c) const {
  Expected expected;
  double magnitude = 0;
  for (std::size_t i = 0; i < row_sum_.size(); ++i) {
    magnitude += std::fabs(static_cast<double>(c[i])) * row_sum_[i];
    for (std::size_t v = 0; v < kVectors; ++v) expected.sum[v] += c[i] * t_[v][i];
  }
  expected.tolerance = 1.05 * static_cast<double>(row_sum_.size()) * 0x1p-24 * magnitude;
  return expected;
}

bool FloatCheck::accepts(const float* y, const Expected& expected) const {
  for (std::size_t v = 0; v < kVectors; ++v) {
    double sum = 0;
    for (std::size_t j = 0; j < z_[v].size(); ++j) sum += y[j] * z_[v][j];
    if (!(std::fabs(sum - expected.sum[v]) <= expected.tolerance)) return false; // NaN too
  }
  return true;
}

} // namespace talaria::remo
