#include "planner/histogram.hpp"

#include <algorithm>
#include <cmath>

namespace talaria::planner {

namespace {

constexpr double kLeast = 1e-7, kMost = 1e7;
const double kStep = std::log(1.01);

} // namespace

void Histogram::add(double seconds) {
  const double within = std::clamp(seconds, kLeast, kMost);
  const auto bin = static_cast<std::size_t>(std::log(within / kLeast) / kStep);
  if (bin >= bins_.size()) bins_.resize(bin + 1);
  ++bins_[bin];
  ++count_;
  sum_ += seconds;
  most_ = std::max(most_, seconds);
}

double Histogram::quantile(double share) const {
  const double wanted = share * static_cast<double>(count_);
  u64 below = 0;
  for (std::size_t bin = 0; bin < bins_.size(); ++bin) {
    below += bins_[bin];
    if (static_cast<double>(below) >= wanted && below > 0)
      return std::min(most_, kLeast * std::exp(kStep * (static_cast<double>(bin) + 0.5)));
  }
  return most_;
}

} // namespace talaria::planner
