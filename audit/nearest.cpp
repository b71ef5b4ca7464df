#include "audit/attacks.hpp"
#include "audit/matching.hpp"

#include <algorithm>

namespace talaria::audit {
namespace {

/// Each row's values in ascending order, at length one.
Rows sorted(Rows rows) {
  for (Eigen::Index r = 0; r < rows.rows(); ++r) {
    float* row = rows.data() + r * rows.cols();
    std::sort(row, row + rows.cols());
  }
  rows.rowwise().normalize();
  return rows;
}

} // namespace

std::vector<Finding> nearest_neighbour(const CloudView& view, const Effort& effort) {
  const MatrixRows* matrix = view.find(kFirstMatrix);
  if (matrix == nullptr) return {};
  const auto rows = spread(view.unknown_rows(*matrix), effort.rows);
  return {RowGuesses{
      matrix->name, rows, rank_by_cosine(gather(*matrix, rows), vocabulary(view, *matrix)), {}}};
}

std::vector<Finding> sorted_coordinates(const CloudView& view, const Effort& effort) {
  const MatrixRows* matrix = view.find(kFirstMatrix);
  if (matrix == nullptr) return {};
  const auto rows = spread(view.unknown_rows(*matrix), effort.rows);
  return {
      RowGuesses{matrix->name,
                 rows,
                 rank_by_distance(sorted(gather(*matrix, rows)), sorted(vocabulary(view, *matrix))),
                 {}}};
}

} // namespace talaria::audit
