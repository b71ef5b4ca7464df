#pragma once

#include <span>
#include <vector>

#include "core/integers.hpp"

namespace talaria::cli {

/// How one position's logits differ from the base's. Logarithms are natural ones.
struct PositionDivergence {
  double loss = 0;      ///< -ln p of the token that came
  double base_loss = 0; ///< the same of the base
  /// Of this distribution q from the base's p, over the tokens that the base holds to be likelier
  /// than e^-16: sum of p ln(p / q) - p + q. That is the Kullback-Leibler divergence but for the
  /// others, and unlike the sum of p ln(p / q) alone it is moved little by what 16 bits round:
  /// equal distributions come out at most at 2.5e-9, on average over positions, and never below 0.
  double divergence = 0;
  double change = 0; ///< of the probability of the token that came, from the base's
  bool same_top = false;
};

/// @param base a packed row (cli/perplexity/base_file.hpp)
/// @param token that came behind this position, below logits.size()
PositionDivergence compare_row(std::span<const float> logits, std::span<const u16> base, u32 token);

/// A mean and its standard error.
struct Estimate {
  double value = 0;
  double error = 0;
};

/// What llama.cpp's tool reports of the same positions.
struct DivergenceReport {
  std::size_t positions = 0;
  Estimate perplexity;
  Estimate base_perplexity;
  Estimate log_ratio; ///< ln(perplexity / base_perplexity), of paired positions
  Estimate divergence;
  double median = 0, p99 = 0, p999 = 0, largest = 0; ///< of divergences
  Estimate change;                                   ///< root of the mean square
  Estimate same_top;                                 ///< share of positions
};

/// Of at least one position.
DivergenceReport summarise(std::span<const PositionDivergence> positions);

} // namespace talaria::cli
