#include "audit/subspace.hpp"

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>

#include "audit/attacks.hpp"
#include "audit/matching.hpp"
#include "remo/public/public_matrix.hpp"

namespace talaria::audit {
namespace {

using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr double kFloor = 1e-9; // of an eigenvalue, relative to the largest

/// Columns of eigenvectors over the square roots of their eigenvalues.
MatrixXd whitening(const Eigen::SelfAdjointEigenSolver<MatrixXd>& solver) {
  const VectorXd& values = solver.eigenvalues();
  const VectorXd bounded = values.cwiseMax(kFloor * values.maxCoeff());
  return solver.eigenvectors() * bounded.cwiseSqrt().cwiseInverse().asDiagonal();
}

/// Rows and vocabulary seen through `directions`, matched by distance.
RowGuesses match_through(const CloudView& view, const MatrixRows& matrix, const Effort& effort,
                         const MatrixXd& directions) {
  RowGuesses out;
  out.where = matrix.name;
  out.rows = spread(view.unknown_rows(matrix), effort.rows);
  const Rows rows = (gather(matrix, out.rows).cast<double>() * directions).cast<float>();
  const Rows tokens = (vocabulary(view, matrix).cast<double>() * directions).cast<float>();
  out.ranked = rank_by_distance(rows, tokens);
  return out;
}

/// The metric in which the rows of A, taken as reals, are round.
MatrixXd public_matrix_metric(const remo::LatticeParameters& parameters, std::size_t d_in) {
  const remo::PublicMatrix a(parameters, remo::public_matrix_seed(), d_in);
  const kernels::Modulus q = parameters.modulus();
  const auto d = static_cast<Eigen::Index>(d_in);
  Wide rows(static_cast<Eigen::Index>(a.rows()), d);
  for (std::size_t r = 0; r < a.rows(); ++r)
    for (std::size_t i = 0; i < d_in; ++i) {
      const u64 word =
          kernels::load_word(a.row(r) + i * static_cast<std::size_t>(q.word_bytes), q.word_bytes);
      rows(static_cast<Eigen::Index>(r), static_cast<Eigen::Index>(i)) =
          static_cast<double>(q.centered(word)) / static_cast<double>(q.q);
    }
  return whitening(Eigen::SelfAdjointEigenSolver<MatrixXd>(rows.transpose() * rows));
}

MatrixXd covariance(const Rows& rows) {
  const Wide wide = rows.cast<double>();
  const Eigen::RowVectorXd mean = wide.colwise().mean();
  const Wide about = wide.rowwise() - mean;
  return about.transpose() * about / static_cast<double>(std::max<Eigen::Index>(rows.rows(), 1));
}

} // namespace

MatrixXd mask_free_directions(double rank, std::size_t d_in) {
  const Matrix<float> rows = hybrid_public_rows(rank, d_in);
  const auto m = static_cast<Eigen::Index>(rows.rows());
  const auto d = static_cast<Eigen::Index>(d_in);
  const Wide wide = Eigen::Map<const Rows>(rows.data(), m, d).cast<double>();
  const Eigen::SelfAdjointEigenSolver<MatrixXd> solver(wide.transpose() * wide);
  if (m < d) return solver.eigenvectors().leftCols(d - m); // ascending: these are the zeros
  return whitening(solver);
}

std::vector<Finding> null_space(const CloudView& view, const Effort& effort) {
  const MatrixRows* matrix = view.find(kFirstMatrix);
  if (matrix == nullptr) return {};
  if (view.hybrid_rank)
    return {match_through(view, *matrix, effort,
                          mask_free_directions(*view.hybrid_rank, matrix->cols))};
  if (matrix->delta_bits == 0) return {}; // no mask with a public matrix behind it
  return {
      match_through(view, *matrix, effort, public_matrix_metric(*view.parameters, matrix->cols))};
}

std::vector<Finding> learned_subspace(const CloudView& view, const Effort& effort) {
  const MatrixRows* matrix = view.find(kFirstMatrix);
  if (matrix == nullptr || matrix->rows < 2 * matrix->cols) return {};
  std::vector<std::size_t> all(matrix->rows);
  for (std::size_t r = 0; r < all.size(); ++r) all[r] = r;
  const MatrixXd seen = covariance(gather(*matrix, spread(all, effort.rows)));
  MatrixXd clear = covariance(vocabulary(view, *matrix));
  clear.diagonal().array() += 1e-6 * clear.trace() / static_cast<double>(clear.rows());

  // In the basis where the vocabulary is round, what exceeds one is the power of the masks.
  const Eigen::LLT<MatrixXd> factor(clear);
  const MatrixXd lower = factor.matrixL();
  MatrixXd relative = lower.triangularView<Eigen::Lower>().solve(seen);
  relative = lower.triangularView<Eigen::Lower>().solve(relative.transpose()).eval();
  const Eigen::SelfAdjointEigenSolver<MatrixXd> solver(relative);
  const double doubt = std::sqrt(2.0 / static_cast<double>(std::min(matrix->rows, effort.rows)));
  const VectorXd power = (solver.eigenvalues().array() - 1).max(doubt);
  const MatrixXd directions =
      lower.transpose().triangularView<Eigen::Upper>().solve(solver.eigenvectors()) *
      power.cwiseSqrt().cwiseInverse().asDiagonal();
  return {match_through(view, *matrix, effort, directions)};
}

} // namespace talaria::audit
