#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "audit/attacks.hpp"
#include "audit/mask_blocks.hpp"
#include "audit/matching.hpp"
#include "audit/modular_solve.hpp"
#include "remo/public/parameters.hpp"

namespace talaria::audit {
namespace {

constexpr std::size_t kRowsPerBlock = 128; // that one solution is expected to open

/// Rows of several blocks, each opened with what was found about its secret.
class Opened {
public:
  Opened(const CloudView& view, const MatrixRows& matrix, const PublicPolynomials& a)
      : view_(view), matrix_(matrix), a_(a) {}

  void open(const BlockRows& block, std::span<const u64> secret) {
    for (const std::size_t row : block.unknown) {
      const auto mask = a_.mask(mask_position(row, view_.parameters->n).t, secret);
      const auto values = opened(matrix_, row, mask, a_.modulus());
      values_.insert(values_.end(), values.begin(), values.end());
      rows_.push_back(row);
    }
  }
  std::size_t rows() const noexcept { return rows_.size(); }
  std::vector<Finding> findings(std::string remark) const {
    if (rows_.empty()) return {};
    const Rows rows =
        Eigen::Map<const Rows>(values_.data(), static_cast<Eigen::Index>(rows_.size()),
                               static_cast<Eigen::Index>(matrix_.cols));
    return {RowGuesses{matrix_.name, rows_, rank_by_cosine(rows, vocabulary(view_, matrix_)),
                       std::move(remark)}};
  }

private:
  const CloudView& view_;
  const MatrixRows& matrix_;
  const PublicPolynomials& a_;
  std::vector<std::size_t> rows_;
  std::vector<float> values_;
};

/// The matrix to work on, if it carries masks of the lattice scheme.
const MatrixRows* masked_matrix(const CloudView& view) {
  const MatrixRows* matrix = view.find(kFirstMatrix);
  return matrix == nullptr || matrix->words.empty() || matrix->delta_bits == 0 ? nullptr : matrix;
}

/// The block's secret from its known rows as if they had no errors.
std::optional<std::vector<u64>> solve_block(const CloudView& view, const MatrixRows& matrix,
                                            const PublicPolynomials& a, const BlockRows& block) {
  const std::size_t n = a.dimension();
  if (block.known.size() * matrix.cols < n) return std::nullopt;
  std::vector<u64> equations(n * n);
  std::vector<u64> right(n);
  for (std::size_t e = 0; e < n;) {
    const std::size_t at = e / matrix.cols;
    const std::size_t t = mask_position(block.known[at], view.parameters->n).t;
    const auto mask = mask_of_known_row(view, matrix, block.known[at], block.tokens[at]);
    for (std::size_t i = 0; i < matrix.cols && e < n; ++i, ++e) {
      right[e] = mask[i];
      for (std::size_t index = 0; index < n; ++index)
        equations[e * n + index] = a.factor(i, t, index);
    }
  }
  return solve_modular(std::move(equations), std::move(right), a.modulus());
}

/// Search for secrets of weight at most two by their mask of one row.
class ShortSearch {
public:
  /// `doubt`: how far the masks that are searched for may be off, besides their errors.
  ShortSearch(const PublicPolynomials& a, std::size_t t, u64 doubt)
      : a_(a), t_(t), error_(remo::kEta + doubt) {
    const std::size_t n = a.dimension();
    parts_.push_back({0, n, false});
    for (std::size_t index = 0; index < n; ++index) {
      const u64 factor = a.factor(0, t, index);
      parts_.push_back({factor, index, false});
      parts_.push_back({a.modulus().sub(0, factor), index, true});
    }
    std::sort(parts_.begin(), parts_.end(),
              [](const Part& x, const Part& y) { return x.value < y.value; });
  }

  /// A secret whose mask is within the errors of `mask` in every input.
  std::optional<std::vector<u64>> find(std::span<const u64> mask) const {
    const kernels::Modulus& q = a_.modulus();
    for (const Part& one : parts_) {
      // The other part is mask - one, give or take an error; it may lie across zero.
      const u64 rest = q.sub(q.sub(mask[0], one.value), error_);
      for (std::size_t i = first_from(rest), steps = 0; steps < parts_.size(); ++steps) {
        const Part& two = parts_[(i + steps) % parts_.size()];
        if (q.sub(two.value, rest) > 2 * error_) break;
        auto secret = together(one, two);
        if (fits(secret, mask)) return secret;
      }
    }
    return std::nullopt;
  }

private:
  struct Part {
    u64 value = 0; ///< what it adds to the mask of input 0
    std::size_t index = 0;
    bool negative = false;
  };

  std::size_t first_from(u64 value) const {
    const auto it = std::lower_bound(parts_.begin(), parts_.end(), value,
                                     [](const Part& part, u64 v) { return part.value < v; });
    return static_cast<std::size_t>(it - parts_.begin()) % parts_.size();
  }
  std::vector<u64> together(const Part& one, const Part& two) const {
    std::vector<u64> secret(a_.dimension());
    for (const Part* part : {&one, &two})
      if (part->index < secret.size())
        secret[part->index] =
            a_.modulus().add(secret[part->index], part->negative ? a_.modulus().q - 1 : 1);
    return secret;
  }
  bool fits(std::span<const u64> secret, std::span<const u64> mask) const {
    const kernels::Modulus& q = a_.modulus();
    const auto clean = a_.mask(t_, secret);
    for (std::size_t i = 0; i < mask.size(); ++i)
      if (q.add(q.sub(mask[i], clean[i]), error_) > 2 * error_) return false;
    return true;
  }

  const PublicPolynomials& a_;
  std::size_t t_;
  u64 error_;               ///< of a value, at most
  std::vector<Part> parts_; ///< by value
};

} // namespace

std::vector<Finding> noiseless_masks(const CloudView& view, const Effort& effort) {
  const MatrixRows* matrix = masked_matrix(view);
  if (matrix == nullptr) return {};
  const PublicPolynomials a(*view.parameters, matrix->cols);
  Opened rows(view, *matrix, a);
  std::size_t blocks = 0;
  for (const BlockRows& block : mixed_blocks(view, *matrix)) {
    if (blocks * kRowsPerBlock >= effort.slow_rows) break;
    const auto secret = solve_block(view, *matrix, a, block);
    if (!secret) continue;
    rows.open(block, *secret);
    ++blocks;
  }
  return rows.findings(fmt::format("{} systems of {} unknowns solved", blocks, a.dimension()));
}

std::vector<Finding> short_secret(const CloudView& view, const Effort& effort) {
  const MatrixRows* matrix = masked_matrix(view);
  if (matrix == nullptr) return {};
  const PublicPolynomials a(*view.parameters, matrix->cols);
  const std::vector<u64> nothing(a.dimension());
  Opened rows(view, *matrix, a);
  std::size_t blocks = 0;
  std::size_t found = 0;
  for (const BlockRows& block : mixed_blocks(view, *matrix)) {
    if (rows.rows() >= effort.rows) break;
    const ShortSearch search(a, mask_position(block.known.front(), view.parameters->n).t,
                             mask_doubt(view, *matrix));
    const auto secret =
        search.find(mask_of_known_row(view, *matrix, block.known.front(), block.tokens.front()));
    found += secret ? 1 : 0;
    ++blocks;
    rows.open(block, secret ? *secret : nothing);
  }
  return rows.findings(fmt::format("{} of {} secrets found", found, blocks));
}

} // namespace talaria::audit
