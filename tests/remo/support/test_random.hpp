#pragma once

#include <cmath>
#include <cstddef>
#include <numbers>
#include <random>

#include "core/integers.hpp"

namespace talaria::remo::testing {

/// Reproducible test data, the same with every standard library.
class TestRandom {
public:
  explicit TestRandom(u64 seed) : engine_(seed) {}

  u64 bits() { return engine_(); }
  /// Uniform in [low, high].
  i64 between(i64 low, i64 high) {
    return low + static_cast<i64>(bits() % (static_cast<u64>(high - low) + 1));
  }
  bool coin() { return (bits() >> 40 & 1) != 0; }
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }
  float normal() {
    return static_cast<float>(std::sqrt(-2 * std::log(uniform() + 0x1p-60)) *
                              std::cos(2 * std::numbers::pi * uniform()));
  }

private:
  std::mt19937_64 engine_;
};

} // namespace talaria::remo::testing
