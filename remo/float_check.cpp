#include "remo/float_check.hpp"

#include <cmath>

#include "kernels/kernel_set.hpp"
#include "remo/public/parameters.hpp"

namespace talaria::remo {

FloatCheck::FloatCheck(const kernels::PackedWeights& weights, Rng& rng,
                       std::span<const std::size_t> cuts) {
  constexpr std::size_t kPanel = kernels::PackedWeights::kPanel;
  const kernels::Modulus q = kDefaultParameters.modulus(); // far above any |t_i|: t is exact
  const std::size_t d_in = weights.d_in();
  const std::size_t columns = weights.d_out();
  parts_.push_back({0, columns, {}, AlignedBuffer<double>(d_in)});
  for (std::size_t s = 0; cuts.size() > 1 && s < cuts.size(); ++s) {
    const std::size_t end = s + 1 < cuts.size() ? cuts[s + 1] : columns;
    parts_.push_back({cuts[s], end - cuts[s], {}, AlignedBuffer<double>(d_in)});
  }
  for (std::size_t v = 0; v < kVectors; ++v) {
    z_[v] = SecretBuffer<double>(columns);
    SecretBuffer<u64> z(columns);
    for (std::size_t j = 0; j < columns; ++j) {
      const bool minus = rng.below(2) == 1;
      z[j] = minus ? q.q - 1 : 1;
      z_[v][j] = minus ? -1 : 1;
    }
    for (Part& part : parts_) {
      SecretBuffer<u64> t(d_in);
      part.t[v] = SecretBuffer<double>(d_in);
      kernels::weight_dot(weights, z.data(), t.data(), q, part.first / kPanel,
                          (part.first + part.count + kPanel - 1) / kPanel);
      for (std::size_t i = 0; i < d_in; ++i) part.t[v][i] = static_cast<double>(q.centered(t[i]));
    }
  }
  for (Part& part : parts_)
    for (std::size_t i = 0; i < d_in; ++i)
      for (std::size_t j = part.first; j < part.first + part.count; ++j)
        part.row_sum[i] += std::abs(weights.at(i, j));
}

FloatCheck::Expected FloatCheck::expect(const float* c, const Part& part) const {
  Expected expected;
  const std::size_t d_in = part.row_sum.size();
  double magnitude = 0;
  for (std::size_t i = 0; i < d_in; ++i) {
    magnitude += std::fabs(static_cast<double>(c[i])) * part.row_sum[i];
    for (std::size_t v = 0; v < kVectors; ++v) expected.sum[v] += c[i] * part.t[v][i];
  }
  expected.tolerance = 1.05 * static_cast<double>(d_in) * 0x1p-24 * magnitude;
  return expected;
}

bool FloatCheck::accepts(const float* y, const Expected& expected, const Part& part) const {
  for (std::size_t v = 0; v < kVectors; ++v) {
    double sum = 0;
    for (std::size_t j = part.first; j < part.first + part.count; ++j) sum += y[j] * z_[v][j];
    if (!(std::fabs(sum - expected.sum[v]) <= expected.tolerance)) return false; // NaN too
  }
  return true;
}

void FloatCheck::find_wrong_shards(const float* sent, const float* received,
                                   std::set<std::size_t>& wrong) const {
  for (std::size_t s = 1; s < parts_.size(); ++s)
    if (!accepts(received, expect(sent, parts_[s]), parts_[s])) wrong.insert(s - 1);
}

} // namespace talaria::remo
