#pragma once

#include "core/integers.hpp"

namespace talaria {

/// Reproducible numbers for self-checks, tests and benchmarks (Steele and others, "Fast splittable
/// generators", 2014): the same on every machine, from nothing but arithmetic. Never for a secret.
class SplitMix {
public:
  explicit SplitMix(u64 seed = 0) : state_(seed) {}
  u64 next() {
    u64 z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  /// In [0, bound), evenly but for 2^-64 bound.
  u64 below(u64 bound) { return static_cast<u64>(u128{next()} * bound >> 64); }

private:
  u64 state_;
};

} // namespace talaria
