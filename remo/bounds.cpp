#include "remo/bounds.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include <fmt/format.h>

#include "core/error.hpp"

namespace talaria::remo {
namespace {

constexpr std::size_t kInputLimit = std::size_t{1} << 17; // int32 sums of int8 x int8 limbs

[[noreturn]] void refuse(const LatticeParameters& parameters, const std::string& name,
                         std::size_t d_in, double norm, const LinearBounds& bounds,
                         const std::string& why) {
  throw Error(Errc::bounds,
              fmt::format("{}: {} (parameters {}: q = {}, d_in = {}, largest column norm {:.1f}, "
                          "Delta = 2^{}, ||x|| <= {:.1f}, precision {:.1f} bits)",
                          name, why, parameters.name, parameters.q, d_in, norm, bounds.delta_bits,
                          bounds.activation_norm, bounds.precision_bits));
}

/// Delta and B for words modulo `modulus` with noise of at most `noise`.
LinearBounds budget(double modulus, double noise, std::size_t d_in, double max_column_norm) {
  const double norm =
      std::max(max_column_norm, 1.0); // integer columns: only a zero matrix is below
  LinearBounds bounds;
  bounds.noise = noise;
  while (std::ldexp(1.0, bounds.delta_bits) < 2 * bounds.noise + 2) ++bounds.delta_bits;
  const double range =
      (modulus / 2 - bounds.noise - 1) / (std::ldexp(1.0, bounds.delta_bits) * norm);
  bounds.activation_norm = std::clamp(range, 0.0, std::ldexp(1.0, 29));
  bounds.precision_bits = std::log2(
      bounds.activation_norm / std::sqrt(static_cast<double>(std::max<std::size_t>(d_in, 1)) / 12));
  return bounds;
}

LinearBounds full_bounds(const LatticeParameters& parameters, std::size_t d_in, double norm) {
  const double q = static_cast<double>(parameters.q);
  const double noise =
      kTau * kSigma * norm + q / (2 * static_cast<double>(parameters.reply_modulus)) + 1;
  return budget(q, noise, d_in, norm);
}

LinearBounds rounded_bounds(const LatticeParameters& parameters, std::size_t d_in, double norm) {
  constexpr double kRoundingVariance = 1.0 / 12; // of a number in [-1/2, 1/2]
  const double p = static_cast<double>(parameters.p);
  const double error = kSigma * p / static_cast<double>(parameters.q);
  const double noise = kTau * std::sqrt(error * error + kRoundingVariance) * norm +
                       p / (2 * static_cast<double>(parameters.reply_modulus)) + 1.5;
  LinearBounds bounds = budget(p, noise, d_in, norm);
  bounds.rounded = true;
  return bounds;
}

/// Delta is a power of two, so one of both is a whole bit finer, or both are alike.
LinearBounds best_bounds(const LatticeParameters& parameters, std::size_t d_in, double norm) {
  const LinearBounds full = full_bounds(parameters, d_in, norm);
  if (!parameters.rounds()) return full;
  const LinearBounds rounded = rounded_bounds(parameters, d_in, norm);
  const bool enough = rounded.precision_bits >= kRoundedPrecisionBits ||
                      rounded.precision_bits + 0.5 >= full.precision_bits;
  return enough ? rounded : full;
}

} // namespace

LinearBounds linear_bounds(const LatticeParameters& parameters, const std::string& name,
                           std::size_t d_in, double max_column_norm) {
  const LinearBounds bounds = best_bounds(parameters, d_in, max_column_norm);
  if (d_in == 0 || d_in >= kInputLimit)
    refuse(parameters, name, d_in, max_column_norm, bounds,
           fmt::format("has {} inputs; between 1 and {} can be outsourced: split the matrix", d_in,
                       kInputLimit - 1));
  if (bounds.precision_bits < kMinimumPrecisionBits)
    refuse(
        parameters, name, d_in, max_column_norm, bounds,
        fmt::format("activations would keep fewer than {} bits; choose parameters with a larger q",
                    kMinimumPrecisionBits));
  return bounds;
}

WordFormat words_of(const LatticeParameters& parameters, const LinearBounds& bounds) {
  return bounds.rounded ? parameters.rounded_words() : parameters.full_words();
}

} // namespace talaria::remo
