#include "cli/perplexity/divergence.hpp"

#include <algorithm>
#include <cmath>

#include "cli/perplexity/base_file.hpp"

namespace talaria::cli {

namespace {

constexpr float kLeastLikely = -16; ///< of the base, as in llama.cpp

/// ln sum exp
double log_sum(std::span<const float> logits, float top) {
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double{logit} - top);
  return top + std::log(sum);
}

template <class Value>
Estimate mean_of(std::span<const PositionDivergence> positions, Value value) {
  const auto count = static_cast<double>(positions.size());
  Estimate out;
  for (const PositionDivergence& position : positions) out.value += value(position);
  out.value /= count;
  double squares = 0;
  for (const PositionDivergence& position : positions) {
    const double off = value(position) - out.value;
    squares += off * off;
  }
  if (positions.size() > 1) out.error = std::sqrt(squares / count / (count - 1));
  return out;
}

/// exp of a mean, whose error grows with it.
Estimate exp_of(const Estimate& mean) {
  const double value = std::exp(mean.value);
  return {value, value * mean.error};
}

/// Between the two nearest of `sorted`.
double quantile(const std::vector<double>& sorted, double share) {
  const double at = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  const double part = at - static_cast<double>(below);
  return (1 - part) * sorted[below] + part * sorted[above];
}

} // namespace

PositionDivergence compare_row(std::span<const float> logits, std::span<const u16> base,
                               u32 token) {
  std::vector<float> expected(logits.size());
  unpack_row(base, expected);
  const auto top = std::max_element(logits.begin(), logits.end());
  const double sum = log_sum(logits, *top);
  PositionDivergence out;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (expected[i] <= kLeastLikely) continue;
    const double log_p = expected[i];
    const double log_q = logits[i] - sum;
    const double p = std::exp(log_p);
    out.divergence += p * (log_p - log_q) - p + std::exp(log_q);
  }
  out.loss = sum - logits[token];
  out.base_loss = -double{expected[token]};
  out.change = std::exp(-out.loss) - std::exp(-out.base_loss);
  const auto base_top = std::max_element(expected.begin(), expected.end());
  out.same_top = top - logits.begin() == base_top - expected.begin();
  return out;
}

DivergenceReport summarise(std::span<const PositionDivergence> positions) {
  using Position = PositionDivergence;
  DivergenceReport out;
  out.positions = positions.size();
  out.perplexity = exp_of(mean_of(positions, [](const Position& p) { return p.loss; }));
  out.base_perplexity = exp_of(mean_of(positions, [](const Position& p) { return p.base_loss; }));
  out.log_ratio = mean_of(positions, [](const Position& p) { return p.loss - p.base_loss; });
  out.divergence = mean_of(positions, [](const Position& p) { return p.divergence; });
  out.same_top = mean_of(positions, [](const Position& p) { return p.same_top ? 1.0 : 0.0; });
  const Estimate squares =
      mean_of(positions, [](const Position& p) { return p.change * p.change; });
  out.change.value = std::sqrt(squares.value);
  if (squares.value > 0) out.change.error = squares.error / (2 * out.change.value);
  std::vector<double> sorted;
  for (const Position& position : positions) sorted.push_back(position.divergence);
  std::sort(sorted.begin(), sorted.end());
  out.median = quantile(sorted, 0.5);
  out.p99 = quantile(sorted, 0.99);
  out.p999 = quantile(sorted, 0.999);
  out.largest = sorted.back();
  return out;
}

} // namespace talaria::cli
