#include "audit/baselines.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "audit/matching.hpp"
#include "core/random.hpp"
#include "remo/samplers.hpp"

namespace talaria::audit {
namespace {

/// No residues any more: the scheme sends floats in the scale of the clear integers.
void floats_only(MatrixRows& matrix) {
  matrix.words.clear();
}

std::vector<std::size_t> permutation(std::size_t count, Rng& rng) {
  std::vector<std::size_t> out(count);
  std::iota(out.begin(), out.end(), std::size_t{0});
  for (std::size_t i = count; i > 1; --i) std::swap(out[i - 1], out[rng.below(i)]);
  return out;
}

Rows normal(Eigen::Index rows, Eigen::Index cols, Rng& rng) {
  const auto values = remo::draw_normal(static_cast<std::size_t>(rows * cols), rng);
  return Eigen::Map<const Rows>(values.data(), rows, cols);
}

} // namespace

Recording permuted(const Recording& clear, u64 seed) {
  Recording out = clear;
  out.view.scheme = "permuted";
  ChaChaRng rng = seeded_rng(seed, 1);
  for (MatrixRows& matrix : out.view.matrices) {
    const auto order = permutation(matrix.cols, rng);
    const MatrixRows before = matrix;
    for (std::size_t r = 0; r < matrix.rows; ++r)
      for (std::size_t i = 0; i < matrix.cols; ++i) {
        matrix.words[r * matrix.cols + i] = before.words[r * matrix.cols + order[i]];
        matrix.values[r * matrix.cols + i] = before.values[r * matrix.cols + order[i]];
      }
  }
  return out;
}

Recording mixed(const Recording& clear, u64 seed) {
  Recording out = clear;
  out.view.scheme = "mixed";
  out.view.parameters = nullptr;
  ChaChaRng rng = seeded_rng(seed, 2);
  for (MatrixRows& matrix : out.view.matrices) {
    floats_only(matrix);
    for (const Arrival& arrival : clear.view.kept_arrivals(matrix)) {
      Eigen::Map<Rows> rows(matrix.values.data() + arrival.first_row * matrix.cols, arrival.rows,
                            static_cast<Eigen::Index>(matrix.cols));
      rows = (normal(arrival.rows, arrival.rows, rng) * rows).eval();
    }
  }
  return out;
}

Recording noisy(const Recording& clear, double ratio, u64 seed) {
  Recording out = clear;
  out.view.scheme = fmt::format("noise-{:g}", ratio);
  out.view.parameters = nullptr;
  ChaChaRng rng = seeded_rng(seed, 3);
  for (MatrixRows& matrix : out.view.matrices) {
    floats_only(matrix);
    Eigen::Map<Rows> rows(matrix.values.data(), static_cast<Eigen::Index>(matrix.rows),
                          static_cast<Eigen::Index>(matrix.cols));
    const Eigen::VectorXf size =
        rows.rowwise().norm() *
        static_cast<float>(ratio / std::sqrt(static_cast<double>(matrix.cols)));
    rows += size.asDiagonal() * normal(rows.rows(), rows.cols(), rng);
  }
  return out;
}

} // namespace talaria::audit
