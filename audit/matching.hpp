#pragma once

#include <Eigen/Core>
#include <vector>

#include "audit/attack.hpp"
#include "audit/public_model.hpp"

namespace talaria::audit {

using Rows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Wide = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// The kept rows `which` of a matrix as they are attacked (MatrixRows::values).
Rows gather(const MatrixRows& matrix, const std::vector<std::size_t>& which);

/// At most `limit` of `rows`, spread over all of them.
std::vector<std::size_t> spread(const std::vector<std::size_t>& rows, std::size_t limit);

/// What each token's input of layers.0.qkv looks like unmasked, in the scale of MatrixRows::values:
/// integers for the integer schemes, RMS-normed floats for the others.
Rows vocabulary(const CloudView& view, const MatrixRows& matrix);

/// Rows of a chosen request with what they would have been unmasked.
struct KnownRows {
  std::vector<std::size_t> rows;
  std::vector<u32> tokens;
};
KnownRows known_rows(const CloudView& view, const MatrixRows& matrix);

/// The ten tokens of highest <row, vocabulary row> + bias (null: none) for each row.
std::vector<RowGuesses::Ranked> rank_by_product(const Rows& rows, const Rows& vocabulary,
                                                const Eigen::VectorXf* bias = nullptr);
/// ... of highest cosine.
std::vector<RowGuesses::Ranked> rank_by_cosine(Rows rows, Rows vocabulary);
/// ... of least Euclidean distance.
std::vector<RowGuesses::Ranked> rank_by_distance(const Rows& rows, const Rows& vocabulary);

/// Indices of the `count` largest of `scores`, best first.
std::vector<u32> best(const Eigen::Ref<const Eigen::VectorXf>& scores, std::size_t count);

} // namespace talaria::audit
