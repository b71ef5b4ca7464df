#pragma once

#include <cmath>

#include "core/integers.hpp"

namespace talaria::planner {

/// Numbers for simulations, equal everywhere for equal seeds (splitmix64). Never for secrets.
class Dice {
public:
  explicit Dice(u64 seed) : state_(seed) {}

  u64 next() noexcept {
    u64 z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  /// Above 0 and below 1.
  double fraction() noexcept { return (static_cast<double>(next() >> 11) + 0.5) * 0x1p-53; }
  double exponential(double mean) noexcept { return -mean * std::log(fraction()); }
  std::size_t below(std::size_t n) noexcept {
    return static_cast<std::size_t>(fraction() * static_cast<double>(n));
  }

private:
  u64 state_;
};

} // namespace talaria::planner
