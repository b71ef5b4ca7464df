#include "remo/activation_rows.hpp"

#include <algorithm>
#include <cmath>

#include "core/declassify.hpp"
#include "core/error.hpp"
#include "core/secret.hpp"
#include "kernels/kernel_set.hpp"

namespace talaria::remo {
namespace {

/// Squares of such rows neither overflow fp32 nor lose their low bits. Which rows are zero or
/// extreme may be seen: they take longer.
bool in_range(float squares) {
  const int inside = static_cast<int>(squares >= 0x1p-100f) & static_cast<int>(squares <= 0x1p126f);
  return declassified(inside) != 0;
}

/// rint(x scale), scale chosen for the norm sqrt(squares); returns the scale.
double quantize_with(const float* x, std::size_t n, float squares, double bound,
                     const std::string& name, i32* q) {
  const double count = static_cast<double>(n);
  const double slack = 0x1p-18 + std::ceil(count / 16) * 0x1p-25;
  const double target = (bound - std::sqrt(count) / 2 - 1) * (1 - slack);
  const float scale = static_cast<float>(target / std::sqrt(static_cast<double>(squares)));
  const u64 sum = kernels::active_kernels().quantize_row(x, scale, q, n);
  // As a signed number, whose conversion takes no branch.
  if (!declassified(static_cast<double>(static_cast<i64>(sum)) <= bound * bound))
    throw Error(Errc::internal, name + ": an activation row exceeds its bound");
  return scale;
}

/// Rows with tiny or huge values: first scaled by a power of two to a largest value in [1/2, 1).
float quantize_extreme(std::span<const float> x, double bound, const std::string& name, i32* q) {
  float largest = 0;
  bool finite = true;
  for (const float value : x) {
    finite = finite && std::isfinite(value);
    largest = std::max(largest, std::fabs(value));
  }
  if (!finite) throw Error(Errc::internal, name + ": an activation is not finite");
  if (largest == 0) {
    std::fill_n(q, x.size(), 0);
    return 0;
  }
  const int exponent = std::ilogb(largest) + 1;
  SecretBuffer<float> scaled(x.size());
  for (std::size_t i = 0; i < x.size(); ++i)
    scaled[i] = static_cast<float>(std::ldexp(static_cast<double>(x[i]), -exponent));
  const float squares = kernels::active_kernels().sum_squares(scaled.data(), x.size());
  const double scale = quantize_with(scaled.data(), x.size(), squares, bound, name, q);
  return static_cast<float>(std::ldexp(1 / scale, exponent));
}

} // namespace

float quantize_activation(std::span<const float> x, double bound, const std::string& name, i32* q) {
  const float squares = kernels::active_kernels().sum_squares(x.data(), x.size());
  if (!in_range(squares)) return quantize_extreme(x, bound, name, q);
  return static_cast<float>(1 / quantize_with(x.data(), x.size(), squares, bound, name, q));
}

} // namespace talaria::remo
