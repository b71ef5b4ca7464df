#include "audit/transcript.hpp"

#include <algorithm>

namespace talaria::audit {

const MatrixRows* CloudView::find(const std::string& name) const {
  const auto it = std::find_if(matrices.begin(), matrices.end(),
                               [&](const MatrixRows& each) { return each.name == name; });
  return it == matrices.end() || it->rows == 0 ? nullptr : &*it;
}

std::vector<Arrival> CloudView::kept_arrivals(const MatrixRows& matrix) const {
  std::vector<Arrival> out;
  for (const Arrival& arrival : arrivals)
    if (arrival.matrix == matrix.matrix && arrival.first_row + arrival.rows <= matrix.rows)
      out.push_back(arrival);
  return out;
}

std::vector<std::size_t> CloudView::unknown_rows(const MatrixRows& matrix) const {
  std::vector<bool> known(matrix.rows);
  for (const ChosenRequest& request : chosen)
    for (std::size_t i = 0; i < request.tokens.size() && request.first_row + i < matrix.rows; ++i)
      known[request.first_row + i] = true;
  std::vector<std::size_t> out;
  for (std::size_t r = 0; r < matrix.rows; ++r)
    if (!known[r]) out.push_back(r);
  return out;
}

} // namespace talaria::audit
