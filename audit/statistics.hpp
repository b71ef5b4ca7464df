#pragma once

#include <cstddef>
#include <span>

namespace talaria::audit {

struct Interval {
  double low = 0;
  double high = 1;
};

/// P[X >= hits], X binomial. 1 for hits == 0.
double binomial_upper_tail(std::size_t hits, std::size_t trials, double probability);

/// Clopper and Pearson's interval of a probability, exact; 95 % unless told. [0, 1] without trials.
Interval clopper_pearson(std::size_t hits, std::size_t trials, double confidence = 0.95);

/// P[X >= statistic], X chi-squared.
double chi_squared_upper_tail(double statistic, double degrees);

/// P[|X| >= |z|], X standard normal.
double normal_two_sided(double z);
/// P[X >= z].
double normal_upper_tail(double z);

/// Chi-squared statistic of counts against probabilities; categories of probability 0 must be
/// empty, or the result is infinite. `degrees`: their number less one.
struct ChiSquared {
  double statistic = 0;
  double degrees = 0;
  double p_value = 1;
};
ChiSquared chi_squared(std::span<const std::size_t> counts, std::span<const double> probabilities);

/// Sidak's correction: the p-value of the smallest of `tests` independent p-values.
double smallest_of(double p, std::size_t tests);

} // namespace talaria::audit
