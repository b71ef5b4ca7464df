#include "audit/statistics.hpp"

#include <boost/math/distributions/binomial.hpp>
#include <boost/math/distributions/chi_squared.hpp>
#include <cmath>
#include <limits>
#include <numeric>

namespace talaria::audit {

double binomial_upper_tail(std::size_t hits, std::size_t trials, double probability) {
  if (hits == 0 || probability >= 1) return 1;
  if (hits > trials || probability <= 0) return 0;
  const boost::math::binomial distribution(static_cast<double>(trials), probability);
  return cdf(complement(distribution, static_cast<double>(hits) - 1));
}

Interval clopper_pearson(std::size_t hits, std::size_t trials, double confidence) {
  if (trials == 0) return {};
  using boost::math::binomial;
  const double n = static_cast<double>(trials);
  const double k = static_cast<double>(hits);
  const double side = (1 - confidence) / 2;
  return {binomial::find_lower_bound_on_p(n, k, side), binomial::find_upper_bound_on_p(n, k, side)};
}

double chi_squared_upper_tail(double statistic, double degrees) {
  if (!(statistic > 0)) return 1;
  if (!std::isfinite(statistic)) return 0;
  return cdf(complement(boost::math::chi_squared(degrees), statistic));
}

double normal_two_sided(double z) {
  return std::erfc(std::fabs(z) / std::sqrt(2.0));
}

double normal_upper_tail(double z) {
  return std::erfc(z / std::sqrt(2.0)) / 2;
}

ChiSquared chi_squared(std::span<const std::size_t> counts, std::span<const double> probabilities) {
  const auto total =
      static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::size_t{0}));
  ChiSquared out;
  out.degrees = -1;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const double expected = total * probabilities[i];
    if (probabilities[i] <= 0) {
      if (counts[i] != 0) out.statistic = std::numeric_limits<double>::infinity();
      continue;
    }
    const double off = static_cast<double>(counts[i]) - expected;
    out.statistic += expected > 0 ? off * off / expected : 0;
    out.degrees += 1;
  }
  out.p_value = out.degrees < 1 ? 1 : chi_squared_upper_tail(out.statistic, out.degrees);
  return out;
}

double smallest_of(double p, std::size_t tests) {
  if (p <= 0) return 0;
  if (p >= 1) return 1;
  return -std::expm1(static_cast<double>(tests) * std::log1p(-p));
}

} // namespace talaria::audit
