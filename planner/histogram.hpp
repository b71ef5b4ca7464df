#pragma once

#include <vector>

#include "core/integers.hpp"

namespace talaria::planner {

/// Durations, counted in steps of 1 %, from 0.1 us to 10^7 s: as many as one likes in the same
/// memory.
class Histogram {
public:
  void add(double seconds);
  u64 count() const noexcept { return count_; }
  double mean() const noexcept { return count_ == 0 ? 0 : sum_ / static_cast<double>(count_); }
  double most() const noexcept { return most_; }
  /// The duration that `share` of all do not exceed, to 1 %; 0 if there is none.
  double quantile(double share) const;

private:
  std::vector<u64> bins_;
  u64 count_ = 0;
  double sum_ = 0, most_ = 0;
};

} // namespace talaria::planner
