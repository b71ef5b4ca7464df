#include "audit/matching.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace talaria::audit {
namespace {

constexpr Eigen::Index kBlock = 128; // rows scored at a time
constexpr Eigen::Index kFewDimensions = 8;

/// The ten largest of `scores`, equal ones by their index.
RowGuesses::Ranked top_ten(const float* scores, std::size_t count) {
  RowGuesses::Ranked ranked;
  ranked.fill(kNoToken);
  std::array<float, RowGuesses::kRanks> value;
  value.fill(-std::numeric_limits<float>::infinity());
  for (std::size_t v = 0; v < count; ++v) {
    if (!(scores[v] > value.back())) continue;
    std::size_t at = value.size() - 1;
    for (; at > 0 && scores[v] > value[at - 1]; --at) {
      value[at] = value[at - 1];
      ranked[at] = ranked[at - 1];
    }
    value[at] = scores[v];
    ranked[at] = static_cast<u32>(v);
  }
  return ranked;
}

/// In few dimensions tokens lie so close that squares would lose what tells them apart.
std::vector<RowGuesses::Ranked> rank_directly(const Rows& rows, const Rows& vocabulary) {
  std::vector<RowGuesses::Ranked> out;
  out.reserve(static_cast<std::size_t>(rows.rows()));
  Eigen::VectorXf scores(vocabulary.rows());
  for (Eigen::Index r = 0; r < rows.rows(); ++r) {
    scores = -(vocabulary.rowwise() - rows.row(r)).rowwise().squaredNorm();
    out.push_back(top_ten(scores.data(), static_cast<std::size_t>(scores.size())));
  }
  return out;
}

} // namespace

Rows gather(const MatrixRows& matrix, const std::vector<std::size_t>& which) {
  Rows out(static_cast<Eigen::Index>(which.size()), static_cast<Eigen::Index>(matrix.cols));
  for (std::size_t i = 0; i < which.size(); ++i)
    std::copy_n(matrix.row(which[i]), matrix.cols, out.data() + i * matrix.cols);
  return out;
}

std::vector<std::size_t> spread(const std::vector<std::size_t>& rows, std::size_t limit) {
  if (rows.size() <= limit) return rows;
  std::vector<std::size_t> out(limit);
  for (std::size_t i = 0; i < limit; ++i) out[i] = rows[i * rows.size() / limit];
  return out;
}

Rows vocabulary(const CloudView& view, const MatrixRows& matrix) {
  const Matrix<float>& inputs = view.model->inputs();
  Rows out = Eigen::Map<const Rows>(inputs.data(), static_cast<Eigen::Index>(inputs.rows()),
                                    static_cast<Eigen::Index>(inputs.cols()));
  if (matrix.activation_norm > 0) {
    // quantize_activation() scales every row to this norm.
    const double target =
        matrix.activation_norm - std::sqrt(static_cast<double>(matrix.cols)) / 2 - 1;
    out.rowwise().normalize();
    out *= static_cast<float>(target);
  }
  return out;
}

KnownRows known_rows(const CloudView& view, const MatrixRows& matrix) {
  KnownRows out;
  for (const ChosenRequest& request : view.chosen)
    for (std::size_t i = 0; i < request.tokens.size(); ++i) {
      if (request.first_row + i >= matrix.rows || request.tokens[i] == kNoToken) continue;
      out.rows.push_back(request.first_row + i);
      out.tokens.push_back(request.tokens[i]);
    }
  return out;
}

std::vector<RowGuesses::Ranked> rank_by_product(const Rows& rows, const Rows& vocabulary,
                                                const Eigen::VectorXf* bias) {
  std::vector<RowGuesses::Ranked> out;
  out.reserve(static_cast<std::size_t>(rows.rows()));
  Rows scores;
  for (Eigen::Index first = 0; first < rows.rows(); first += kBlock) {
    const Eigen::Index count = std::min(kBlock, rows.rows() - first);
    scores.noalias() = rows.middleRows(first, count) * vocabulary.transpose();
    if (bias != nullptr) scores.rowwise() += bias->transpose();
    for (Eigen::Index r = 0; r < count; ++r)
      out.push_back(
          top_ten(scores.data() + r * scores.cols(), static_cast<std::size_t>(scores.cols())));
  }
  return out;
}

std::vector<RowGuesses::Ranked> rank_by_cosine(Rows rows, Rows vocabulary) {
  rows.rowwise().normalize();
  vocabulary.rowwise().normalize();
  return rank_by_product(rows, vocabulary);
}

std::vector<RowGuesses::Ranked> rank_by_distance(const Rows& rows, const Rows& vocabulary) {
  if (vocabulary.cols() <= kFewDimensions) return rank_directly(rows, vocabulary);
  // -|c - x|^2 / 2 up to a term that all tokens of a row share; about the mean, where floats are
  // finest.
  const Eigen::RowVectorXf mean = vocabulary.colwise().mean();
  const Rows about = vocabulary.rowwise() - mean;
  const Eigen::VectorXf bias = -about.rowwise().squaredNorm() / 2;
  return rank_by_product(rows.rowwise() - mean, about, &bias);
}

std::vector<u32> best(const Eigen::Ref<const Eigen::VectorXf>& scores, std::size_t count) {
  std::vector<u32> ids(static_cast<std::size_t>(scores.size()));
  std::iota(ids.begin(), ids.end(), 0U);
  count = std::min(count, ids.size());
  std::partial_sort(
      ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(count), ids.end(),
      [&](u32 a, u32 b) { return scores[a] > scores[b] || (scores[a] == scores[b] && a < b); });
  ids.resize(count);
  return ids;
}

} // namespace talaria::audit
