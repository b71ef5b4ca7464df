#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <optional>

#include "audit/attacks.hpp"
#include "audit/matching.hpp"

namespace talaria::audit {
namespace {

using Eigen::MatrixXd;

/// What attacks with chosen prompts learn from: rows as sent beside rows as they were.
struct Lesson {
  const MatrixRows* matrix = nullptr;
  Rows tokens; ///< of the vocabulary
  Rows sent;
  Rows clear;
};

/// At most `limit` known rows. Nothing without any.
std::optional<Lesson> lesson(const CloudView& view, std::size_t limit) {
  Lesson out;
  out.matrix = view.find(kFirstMatrix);
  if (out.matrix == nullptr) return std::nullopt;
  KnownRows known = known_rows(view, *out.matrix);
  if (known.rows.empty()) return std::nullopt;
  known.rows.resize(std::min(limit, known.rows.size()));
  out.tokens = vocabulary(view, *out.matrix);
  out.sent = gather(*out.matrix, known.rows);
  out.clear.resize(out.sent.rows(), out.sent.cols());
  for (Eigen::Index r = 0; r < out.sent.rows(); ++r)
    out.clear.row(r) = out.tokens.row(known.tokens[static_cast<std::size_t>(r)]);
  return out;
}

/// Nearest neighbours of the unknown rows, each taken back through `map` [d, d].
std::vector<Finding> match_mapped(const CloudView& view, const Lesson& learned,
                                  const Effort& effort, const MatrixXd& map) {
  RowGuesses out;
  out.where = learned.matrix->name;
  out.rows = spread(view.unknown_rows(*learned.matrix), effort.rows);
  out.ranked =
      rank_by_cosine(gather(*learned.matrix, out.rows) * map.cast<float>(), learned.tokens);
  return {std::move(out)};
}

/// (C^T C + ridge mean(diag) I)^-1 C^T X.
MatrixXd regression(const Wide& sent, const Wide& clear, double ridge) {
  MatrixXd gram = sent.transpose() * sent;
  gram.diagonal().array() += ridge * gram.trace() / static_cast<double>(gram.rows());
  return gram.ldlt().solve(sent.transpose() * clear);
}

/// The ridge whose map, learned on three quarters of the rows, tells the rest best.
double best_ridge(const Wide& sent, const Wide& clear) {
  const Eigen::Index held = sent.rows() / 4;
  const Eigen::Index used = sent.rows() - held;
  double best = 0;
  double least = std::numeric_limits<double>::infinity();
  for (const double ridge : {1e-5, 1e-3, 1e-2, 1e-1, 1.0, 10.0}) {
    const MatrixXd map = regression(sent.topRows(used), clear.topRows(used), ridge);
    const double error = (sent.bottomRows(held) * map - clear.bottomRows(held)).squaredNorm();
    if (error < least) {
      least = error;
      best = ridge;
    }
  }
  return best;
}

} // namespace

std::vector<Finding> gram_alignment(const CloudView& view, const Effort& effort) {
  const MatrixRows* matrix = view.find(kFirstMatrix);
  if (matrix == nullptr) return {};
  const auto anchors = lesson(view, matrix->cols);
  if (!anchors) return {};
  RowGuesses out;
  out.where = matrix->name;
  out.rows = spread(view.unknown_rows(*matrix), effort.rows);
  out.ranked = rank_by_cosine(gather(*matrix, out.rows) * anchors->sent.transpose(),
                              anchors->tokens * anchors->clear.transpose());
  return {std::move(out)};
}

std::vector<Finding> procrustes_alignment(const CloudView& view, const Effort& effort) {
  const auto learned = lesson(view, effort.rows);
  if (!learned) return {};
  // C = X R with R orthogonal: R is the orthogonal factor of X^T C.
  const MatrixXd product = learned->clear.cast<double>().transpose() * learned->sent.cast<double>();
  const Eigen::SelfAdjointEigenSolver<MatrixXd> solver(product.transpose() * product);
  const Eigen::VectorXd values =
      solver.eigenvalues().cwiseMax(1e-12 * solver.eigenvalues().maxCoeff());
  const MatrixXd rotation = product * solver.eigenvectors() *
                            values.cwiseSqrt().cwiseInverse().asDiagonal() *
                            solver.eigenvectors().transpose();
  return match_mapped(view, *learned, effort, rotation.transpose());
}

std::vector<Finding> linear_inversion(const CloudView& view, const Effort& effort) {
  const auto learned = lesson(view, effort.rows);
  if (!learned) return {};
  return match_mapped(
      view, *learned, effort,
      regression(learned->sent.cast<double>(), learned->clear.cast<double>(), 1e-9));
}

std::vector<Finding> ridge_inversion(const CloudView& view, const Effort& effort) {
  const auto learned = lesson(view, effort.rows);
  if (!learned || learned->sent.rows() < 8) return {};
  const Wide sent = learned->sent.cast<double>();
  const Wide clear = learned->clear.cast<double>();
  return match_mapped(view, *learned, effort, regression(sent, clear, best_ridge(sent, clear)));
}

} // namespace talaria::audit
