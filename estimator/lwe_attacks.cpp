#include "estimator/lwe_attacks.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numbers>

namespace talaria::estimator {

namespace {

constexpr double kLn2 = std::numbers::ln2;
constexpr double kNever = std::numeric_limits<double>::infinity();

/// log2(2^a + 2^b)
double log2_sum(double a, double b) {
  const double high = std::max(a, b);
  return high + std::log2(1 + std::exp2(std::min(a, b) - high));
}

/// The smallest lattice dimension in which block size `block` finds the secret; 0: in none.
double primal_dimension(const Lwe& lwe, double block) {
  const double hermite = log2_root_hermite(block);
  const double target = std::log2(lwe.error_sigma) + 0.5 * std::log2(block);
  const double secret_part = lwe.dimension * std::log2(lwe.error_sigma / lwe.secret_sigma);
  const double most = lwe.samples.value_or(6 * lwe.dimension);
  for (double m = 1; m <= most; ++m) {
    const double d = lwe.dimension + m + 1;
    if (d < block) continue;
    const double volume = (m * lwe.log2_q + secret_part) / d;
    if ((2 * block - d - 1) * hermite + volume >= target) return d;
  }
  return 0;
}

/// One dual attack with a given block size: the best split between guessing and reduction.
class DualAtBlock {
public:
  DualAtBlock(const Lwe& lwe, CostModel model, u32 block)
      : lwe_(lwe), block_(block),
        entropy_(lwe.secret_entropy.value_or(
            0.5 / kLn2 + std::log2(std::sqrt(2 * std::numbers::pi) * lwe.secret_sigma))),
        hermite_(log2_root_hermite(block)) {
    const double n = lwe.dimension;
    reduction_ = reduction_bits(model, block, 2 * n);
    sieve_ = block;
    if (model == CostModel::gates) {
      // Sieve in the dimension that costs as much as the reduction did.
      sieve_ =
          std::floor(block - free_dimensions(block) +
                     std::log2(std::max(2 * n - block, 1.0) * progressive_overhead()) / kGateSlope);
      reduction_ += 1;
    }
    coefficient_ = -std::log2(1 - std::exp(-0.5 / (lwe.secret_sigma * lwe.secret_sigma)));
  }

  Estimate best() const {
    Estimate best{AttackKind::dual, kNever, block_, 0};
    for (double guessed = 0; guessed < 45; guessed += 5)
      for (const double ratio : {1.0, 1.06}) {
        const double wished = ratio * lwe_.dimension;
        const double samples = lwe_.samples ? std::min(wished, *lwe_.samples) : wished;
        for (double transformed = 0; transformed < 150; transformed += 5)
          consider(guessed, transformed, samples, best);
      }
    return best;
  }

private:
  /// `guessed` coordinates tried one by one, `transformed` ones by a Fourier transform.
  void consider(double guessed, double transformed, double samples, Estimate& best) const {
    const double left = lwe_.dimension - guessed - transformed;
    const double d = samples + left;
    const double length = samples / d * std::log2(lwe_.error_sigma) +
                          left / d * (std::log2(lwe_.secret_sigma) + lwe_.log2_q) +
                          0.5 * std::log2(4.0 / 3) +
                          0.5 * std::log2(sieve_ / (2 * std::numbers::pi * std::numbers::e)) +
                          (d - sieve_) * hermite_;
    const double contrast = 4 * std::numbers::pi * std::numbers::pi *
                            std::exp2(2 * std::min(length - lwe_.log2_q, 8.0)) / kLn2;
    for (double p = 2; p < 9; ++p) {
      const double rounding = lwe_.secret_sigma * std::numbers::pi / p;
      const double vectors = contrast + transformed / 3 * rounding * rounding / kLn2 +
                             std::log2(guessed * entropy_ + transformed * std::log(p) + kLn2);
      const double sampling = reduction_ + std::max(0.0, vectors - 0.2075 * sieve_);
      const double transform =
          10 + std::log2(std::max(transformed, 1.0)) + (transformed + 1) * std::log2(p);
      const double guessing = coefficient_ + guessed * (1 - 0.5 / kLn2 + entropy_) +
                              log2_sum(transform, std::log2(640.0) + vectors);
      const double bits = log2_sum(sampling, guessing);
      if (bits < best.bits) best = {AttackKind::dual, bits, block_, d};
    }
  }

  const Lwe& lwe_;
  u32 block_;
  double entropy_;     ///< of a secret coordinate, bits
  double hermite_;     ///< log2
  double reduction_;   ///< bits
  double sieve_;       ///< dimension of the sieve that makes the vectors
  double coefficient_; ///< bits: cost of one guess
};

} // namespace

std::optional<Estimate> primal_attack(const Lwe& lwe, CostModel model) {
  constexpr u32 kLargest = 40000;
  u32 low = 2;
  u32 high = 64;
  while (primal_dimension(lwe, high) == 0) {
    high *= 2;
    if (high > kLargest) return std::nullopt;
  }
  while (low < high) {
    const u32 middle = (low + high) / 2;
    if (primal_dimension(lwe, middle) > 0)
      high = middle;
    else
      low = middle + 1;
  }
  const double d = primal_dimension(lwe, low);
  return Estimate{AttackKind::primal, reduction_bits(model, low, d), low, d};
}

Estimate dual_attack(const Lwe& lwe, CostModel model) {
  constexpr u32 kSmallest = 40;
  constexpr u32 kLargest = 4000;
  std::map<u32, Estimate> seen;
  Estimate best{AttackKind::dual, kNever, 0, 0};
  const auto look_at = [&](u32 block) {
    const auto [it, is_new] = seen.try_emplace(block);
    if (is_new) it->second = DualAtBlock(lwe, model, block).best();
    if (it->second.bits >= best.bits) return false;
    best = it->second;
    return true;
  };
  // Coarse steps first; the cost falls with the block size and rises again.
  u32 step = 64;
  for (u32 block = 50; block < kLargest; block += step)
    if (!look_at(block) && reduction_bits(model, block, 2 * lwe.dimension) > best.bits + 2) break;
  for (step /= 2; step >= 1; step /= 2) {
    const u32 middle = best.block;
    if (middle >= kSmallest + step) look_at(middle - step);
    look_at(middle + step);
  }
  return best;
}

Estimate cheapest_attack(const Lwe& lwe, CostModel model) {
  const Estimate dual = dual_attack(lwe, model);
  const auto primal = primal_attack(lwe, model);
  return primal && primal->bits < dual.bits ? *primal : dual;
}

} // namespace talaria::estimator
