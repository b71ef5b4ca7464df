#pragma once

#include <span>
#include <vector>

#include "core/integers.hpp"
#include "core/matrix.hpp"
#include "core/secret.hpp"
#include "model/weights/pooling.hpp"

namespace talaria::model {

/// The rows of one text as they leave the final norm, on their way to become one vector. Sums are
/// taken in double and in the order of positions, so that the result does not depend on how the
/// text was cut into micro-batches; which rows and numbers they are has no influence on time.
class PooledRows {
public:
  explicit PooledRows(PoolingKind kind) : kind_(kind) {}

  /// The next rows [count, hidden], in the order of positions; count >= 1.
  void add(MatrixView<const float> rows);
  /// What has been added so far: the last row, or the mean, [hidden].
  std::vector<float> result() const;

private:
  PoolingKind kind_;
  SecretBuffer<double> sum_; ///< of the rows that count
  std::size_t rows_ = 0;     ///< that do
};

/// An embedding of a pooled vector: its first `dimensions` numbers (0: all of them), of length 1 if
/// the model's are. Zeros stay zeros.
std::vector<float> embedding(std::vector<float> pooled, const Pooling& pooling, u32 dimensions);

/// The score of a pooled vector by `weights`, both [hidden].
float score(std::span<const float> pooled, std::span<const float> weights, const Pooling& pooling);

/// a.b / (|a| |b|), which is how embeddings are compared; 0 if one of them is all zeros.
float cosine(std::span<const float> a, std::span<const float> b);

} // namespace talaria::model
