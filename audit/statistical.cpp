#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <string>

#include <fmt/format.h>

#include "audit/attacks.hpp"
#include "audit/matching.hpp"
#include "audit/statistics.hpp"

namespace talaria::audit {
namespace {

constexpr std::size_t kBins = 64;
constexpr std::size_t kLimb = 256;

/// Keeps the smallest p-value of many tests.
class Smallest {
public:
  void take(double p, const std::string& where) {
    ++tests_;
    if (p >= smallest_) return;
    smallest_ = p;
    where_ = where;
  }
  std::vector<Finding> findings(const std::string& unit) const {
    if (tests_ == 0) return {};
    return {TestOutcome{where_.empty() ? kFirstMatrix : where_, smallest_, tests_,
                        fmt::format("{} {}", tests_, unit)}};
  }

private:
  double smallest_ = 1;
  std::size_t tests_ = 0;
  std::string where_;
};

/// Whether chi-squared's approximation holds: five or more expected in every bin.
bool enough(std::size_t samples, std::size_t bins) {
  return samples >= 5 * bins;
}

/// P[bin] of 64 bins of [0, q) by floor(64 w / q), exactly.
std::vector<double> bin_probabilities(u64 q) {
  std::vector<double> out(kBins);
  u64 low = 0;
  for (std::size_t b = 0; b < kBins; ++b) {
    const u64 high = static_cast<u64>((u128{q} * (b + 1) + kBins - 1) / kBins);
    out[b] = static_cast<double>(high - low) / static_cast<double>(q);
    low = high;
  }
  return out;
}

/// P[byte `limb` of a uniform residue = value], exactly.
std::vector<double> limb_probabilities(u64 q, int limb) {
  std::vector<double> out(kLimb);
  const int shift = 8 * limb;
  const u64 period = u64{1} << shift;      // of one value
  const u128 cycle = u128{period} * kLimb; // of all values
  for (std::size_t value = 0; value < kLimb; ++value) {
    const u128 rest = q % cycle;
    const u128 begin = u128{value} * period;
    const u128 partial = rest > begin ? std::min<u128>(rest - begin, period) : 0;
    out[value] = static_cast<double>(q / cycle * period + partial) / static_cast<double>(q);
  }
  return out;
}

/// The values of one byte of uniform residues. Those that almost never occur would spoil the
/// approximation; together they are one.
struct LimbCategories {
  LimbCategories(u64 q, int limb) {
    const auto single = limb_probabilities(q, limb);
    for (std::size_t value = 0; value < kLimb; ++value) {
      const bool rare = single[value] < 1e-6;
      if (probabilities.empty() || !rare) probabilities.push_back(0);
      of[value] = probabilities.size() - 1;
      probabilities.back() += single[value];
    }
  }
  std::vector<double> probabilities;
  std::array<std::size_t, kLimb> of{};
};

/// Counts of all words in the bins of bin_probabilities().
template <class Word>
std::vector<std::size_t> bin_counts(std::size_t count, u64 q, Word word) {
  std::vector<std::size_t> counts(kBins);
  for (std::size_t i = 0; i < count; ++i)
    ++counts[static_cast<std::size_t>(u128{word(i)} * kBins / q)];
  return counts;
}

} // namespace

std::vector<Finding> uniformity(const CloudView& view, const Effort&) {
  if (view.parameters == nullptr) return {};
  Smallest smallest;
  for (const MatrixRows& matrix : view.matrices) {
    const std::size_t words = matrix.words.size();
    if (!enough(words, kBins)) continue;
    const kernels::Modulus modulus = matrix.modulus;
    const u64 q = modulus.q;
    const auto probabilities = bin_probabilities(q);
    const auto alone = bin_counts(words, q, [&](std::size_t i) { return matrix.words[i]; });
    smallest.take(chi_squared(alone, probabilities).p_value, matrix.name);
    if (matrix.rows < 2) continue;
    // Rows 0 and 1, 2 and 3, ...: differences that share no row are independent.
    const std::size_t pairs = matrix.rows / 2 * matrix.cols;
    if (!enough(pairs, kBins)) continue;
    const auto apart = bin_counts(pairs, q, [&](std::size_t i) {
      const std::size_t at = i / matrix.cols * 2 * matrix.cols + i % matrix.cols;
      return modulus.sub(matrix.words[at], matrix.words[at + matrix.cols]);
    });
    smallest.take(chi_squared(apart, probabilities).p_value, matrix.name);
  }
  return smallest.findings("chi-squared tests");
}

std::vector<Finding> limb_uniformity(const CloudView& view, const Effort&) {
  if (view.parameters == nullptr) return {};
  Smallest smallest;
  for (const MatrixRows& matrix : view.matrices) {
    if (!enough(matrix.words.size(), kLimb)) continue;
    for (int limb = 0; limb < matrix.modulus.word_bytes; ++limb) {
      const LimbCategories categories(matrix.modulus.q, limb);
      std::vector<std::size_t> counts(categories.probabilities.size());
      for (const u64 word : matrix.words) ++counts[categories.of[word >> (8 * limb) & 0xff]];
      smallest.take(chi_squared(counts, categories.probabilities).p_value, matrix.name);
    }
  }
  return smallest.findings("chi-squared tests");
}

std::vector<Finding> plaintext_correlation(const CloudView& view, const Effort& effort) {
  const MatrixRows* matrix = view.find(kFirstMatrix);
  if (matrix == nullptr) return {};
  KnownRows known = known_rows(view, *matrix);
  if (known.rows.empty()) return {};
  known.rows.resize(std::min(known.rows.size(), effort.rows));
  const Rows sent = gather(*matrix, known.rows);
  const Rows tokens = vocabulary(view, *matrix);
  double product = 0, squares_sent = 0, squares_clear = 0;
  for (Eigen::Index r = 0; r < sent.rows(); ++r) {
    const auto clear = tokens.row(known.tokens[static_cast<std::size_t>(r)]).cast<double>();
    const auto row = sent.row(r).cast<double>();
    product += row.dot(clear);
    squares_sent += row.squaredNorm();
    squares_clear += clear.squaredNorm();
  }
  const double samples = static_cast<double>(sent.size());
  const double r = product / std::sqrt(squares_sent * squares_clear);
  return {TestOutcome{matrix->name, normal_two_sided(r * std::sqrt(samples)), 1,
                      fmt::format("r = {:.1e} over {} values", r, sent.size())}};
}

std::vector<Finding> repeated_rows(const CloudView& view, const Effort&) {
  Smallest smallest;
  std::size_t found = 0;
  for (const MatrixRows& matrix : view.matrices) {
    if (matrix.rows < 2 || matrix.cols < 2) continue;
    // Two values of q each are 2^80 possibilities or more: none of them comes twice by chance.
    std::map<std::array<float, 2>, std::size_t> floats;
    std::map<std::array<u64, 2>, std::size_t> words;
    std::size_t repeats = 0;
    for (std::size_t r = 0; r < matrix.rows; ++r) {
      if (matrix.words.empty())
        repeats += floats[{matrix.row(r)[0], matrix.row(r)[1]}]++ != 0 ? 1 : 0;
      else
        repeats += words[{matrix.word_row(r)[0], matrix.word_row(r)[1]}]++ != 0 ? 1 : 0;
    }
    found += repeats;
    const double pairs = static_cast<double>(matrix.rows) * static_cast<double>(matrix.rows) / 2;
    const double collision =
        matrix.words.empty() ? 0x1p-40 : std::pow(static_cast<double>(matrix.modulus.q), -2);
    smallest.take(repeats == 0 ? 1 : std::min(1.0, pairs * collision), matrix.name);
  }
  return smallest.findings(fmt::format("matrices, {} rows begin like another", found));
}

} // namespace talaria::audit
