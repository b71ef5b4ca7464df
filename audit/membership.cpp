#include <Eigen/Eigenvalues>
#include <algorithm>

#include "audit/attacks.hpp"
#include "audit/matching.hpp"

namespace talaria::audit {
namespace {

/// An orthonormal basis of the space that the rows span, [cols, rank].
Eigen::MatrixXf row_space(const Wide& rows) {
  constexpr double kNegligible = 1e-10; // of the largest eigenvalue: squares of rounding errors
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(
      Eigen::MatrixXd(rows * rows.transpose()));
  const Eigen::VectorXd& values = solver.eigenvalues(); // ascending
  Eigen::Index first = 0;
  while (first < values.size() && values[first] <= kNegligible * values[values.size() - 1]) ++first;
  const Eigen::Index rank = values.size() - first;
  const Eigen::VectorXd inverse = values.tail(rank).cwiseSqrt().cwiseInverse();
  return (rows.transpose() * solver.eigenvectors().rightCols(rank) * inverse.asDiagonal())
      .cast<float>();
}

} // namespace

std::vector<Finding> row_space_membership(const CloudView& view, const Effort& effort) {
  const MatrixRows* matrix = view.find(kFirstMatrix);
  if (matrix == nullptr) return {};
  Rows tokens = vocabulary(view, *matrix);
  tokens.rowwise().normalize();
  std::vector<bool> unknown(matrix->rows);
  for (const std::size_t row : view.unknown_rows(*matrix)) unknown[row] = true;

  std::vector<Arrival> attacked;
  std::size_t longest = 0;
  std::size_t rows = 0;
  for (const Arrival& arrival : view.kept_arrivals(*matrix)) {
    // A full space holds every token, and a single row is the nearest neighbour's.
    if (arrival.rows < 2 || arrival.rows >= matrix->cols || !unknown[arrival.first_row]) continue;
    if (rows >= effort.rows) break;
    rows += arrival.rows;
    longest = std::max<std::size_t>(longest, arrival.rows);
    attacked.push_back(arrival);
  }

  SetGuesses out;
  out.where = matrix->name;
  for (const Arrival& arrival : attacked) {
    std::vector<std::size_t> which(arrival.rows);
    for (std::size_t r = 0; r < which.size(); ++r) which[r] = arrival.first_row + r;
    const Eigen::MatrixXf basis = row_space(gather(*matrix, which).cast<double>());
    const Eigen::VectorXf inside = (tokens * basis).rowwise().squaredNorm();
    out.requests.push_back(
        {arrival.first_row, arrival.rows, best(inside, RowGuesses::kRanks * longest)});
  }
  if (out.requests.empty()) return {};
  return {std::move(out)};
}

} // namespace talaria::audit
