#include "model/pooling.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/elementwise.hpp"

namespace talaria::model {

namespace {

double dot(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += double{a[i]} * double{b[i]};
  return sum;
}

} // namespace

void PooledRows::add(MatrixView<const float> rows) {
  if (sum_.size() == 0) sum_ = SecretBuffer<double>(rows.cols);
  if (kind_ == PoolingKind::last) {
    std::copy_n(rows.row(rows.rows - 1), rows.cols, sum_.data());
    rows_ = 1;
    return;
  }
  for (std::size_t r = 0; r < rows.rows; ++r)
    for (std::size_t i = 0; i < rows.cols; ++i) sum_.data()[i] += double{rows.row(r)[i]};
  rows_ += rows.rows;
}

std::vector<float> PooledRows::result() const {
  std::vector<float> out(sum_.size());
  const auto rows = static_cast<double>(std::max<std::size_t>(rows_, 1));
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(sum_.data()[i] / rows);
  return out;
}

std::vector<float> embedding(std::vector<float> pooled, const Pooling& pooling, u32 dimensions) {
  if (dimensions != 0) pooled.resize(dimensions);
  if (!pooling.normalise) return pooled;
  constexpr double kLeast = 1e-12; // sentence-transformers' least, so that zeros stay zeros
  const double length = std::max(std::sqrt(dot(pooled, pooled)), kLeast);
  for (float& x : pooled) x = static_cast<float>(double{x} / length);
  return pooled;
}

float score(std::span<const float> pooled, std::span<const float> weights, const Pooling& pooling) {
  const auto logit = static_cast<float>(dot(pooled, weights));
  return pooling.sigmoid ? kernels::sigmoid(logit) : logit;
}

float cosine(std::span<const float> a, std::span<const float> b) {
  const double lengths = std::sqrt(dot(a, a)) * std::sqrt(dot(b, b));
  return lengths > 0 ? static_cast<float>(dot(a, b) / lengths) : 0;
}

} // namespace talaria::model
