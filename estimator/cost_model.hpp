#pragma once

#include <array>

#include "core/integers.hpp"

namespace talaria::estimator {

/// What one lattice reduction with block size b in dimension d is taken to cost (docs/protocol.md,
/// Security estimates). log2 of operations; the models count different operations and are not to be
/// compared with each other.
enum class CostModel : u8 {
  core,          ///< 0.292 b: classical core-SVP (Alkim et al. 2016, ePrint 2015/1092)
  bdgl,          ///< 0.292 b + 16.4 + log2(8 d): the 2018 FHE standard, classical
  gates,         ///< gates of a sieve with dimensions for free (AGPS 2020, fitted by MATZOV 2022)
  quantum,       ///< 0.265 b: quantum core-SVP
  quantum_lower, ///< 0.257 b: the same with quantum walks (Chailloux and Loyer 2021)
  lmp,           ///< 0.265 b + 16.4 + log2(8 d): the FHE guidelines of 2024, quantum
};
inline constexpr std::array<CostModel, 6> kCostModels{CostModel::core,          CostModel::bdgl,
                                                      CostModel::gates,         CostModel::quantum,
                                                      CostModel::quantum_lower, CostModel::lmp};

/// MATZOV's fit to the gate counts of AGPS 2020: log2 gates of a sieve = slope dimension + offset.
inline constexpr double kGateSlope = 0.29613500308205365;
inline constexpr double kGateOffset = 20.387885985467914;

/// log2 of the root-Hermite factor that BKZ with this block size reaches: Chen's formula (2013),
/// and below 40 what was measured. `block` >= 2.
double log2_root_hermite(double block);

/// log2 cost of one reduction with `block` >= 2 in dimension `dimension`.
double reduction_bits(CostModel model, double block, double dimension);

/// Dimensions that a sieve for block size `block` need not walk through (Ducas 2018).
double free_dimensions(double block);

/// How much more a block reduction costs than its most expensive sieve, in the model `gates`.
double progressive_overhead();

} // namespace talaria::estimator
