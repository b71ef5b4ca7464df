#include "estimator/cost_model.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

namespace talaria::estimator {

namespace {

constexpr double kPi = std::numbers::pi;
constexpr double kE = std::numbers::e;

/// Largest block and the root-Hermite factor measured for it, below where Chen's formula holds.
constexpr std::pair<double, double> kMeasured[] = {{2, 1.0219},   {5, 1.01862},  {10, 1.01616},
                                                   {15, 1.01485}, {20, 1.01420}, {25, 1.01342},
                                                   {40, 1.01331}};
constexpr double kFormulaFrom = 40;

double per_block(CostModel model) {
  switch (model) {
  case CostModel::core:
  case CostModel::bdgl:
    return 0.292;
  case CostModel::quantum:
  case CostModel::lmp:
    return 0.265;
  case CostModel::quantum_lower:
    return 0.257;
  case CostModel::gates:
    return kGateSlope;
  }
  return kGateSlope;
}

} // namespace

double log2_root_hermite(double block) {
  if (block < kFormulaFrom)
    for (const auto& [largest, factor] : kMeasured)
      if (block <= largest) return std::log2(factor);
  const double shape = std::log2(block / (2 * kPi * kE)) + std::log2(kPi * block) / block;
  return shape / (2 * (block - 1));
}

double free_dimensions(double block) {
  constexpr double kSmallest = 18; // below, the formula's logarithm is not positive
  if (block <= kSmallest) return 0;
  return std::max(0.0, block * std::log(4.0 / 3) / std::log(block / (2 * kPi * kE)));
}

double progressive_overhead() {
  return 1 / (1 - std::exp2(-kGateSlope));
}

double reduction_bits(CostModel model, double block, double dimension) {
  const double bits = per_block(model) * block;
  switch (model) {
  case CostModel::core:
  case CostModel::quantum:
  case CostModel::quantum_lower:
    return bits;
  case CostModel::bdgl:
  case CostModel::lmp:
    return bits + 16.4 + (block < dimension ? std::log2(8 * dimension) : 0);
  case CostModel::gates:
    break;
  }
  return 2 * std::log2(progressive_overhead()) + std::log2(std::max(dimension - block, 1.0)) +
         kGateSlope * (block - free_dimensions(block)) + kGateOffset;
}

} // namespace talaria::estimator
