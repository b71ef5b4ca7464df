#include "tests/remo/support/test_linear.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace talaria::remo::testing {
namespace {

i8 clamp8(double value) {
  return static_cast<i8>(std::clamp(std::rint(value), -127.0, 127.0));
}

i8 draw_weight(Weights kind, TestRandom& random) {
  switch (kind) {
  case Weights::uniform:
    return static_cast<i8>(random.between(-128, 127));
  case Weights::extreme:
    return random.coin() ? i8{127} : i8{-127};
  case Weights::gaussian:
    return clamp8(36 * static_cast<double>(random.normal()));
  case Weights::zero:
    return 0;
  case Weights::outlier:
    return random.between(0, 30) == 0 ? i8{127} : clamp8(random.normal());
  }
  return 0;
}

} // namespace

LatticeParameters toy_parameters(const char* modulus_of, u32 n, u32 k) {
  LatticeParameters toy = lattice_parameters(modulus_of);
  toy.n = n;
  toy.k = k;
  toy.core_svp_bits = toy.quantum_core_svp_bits = toy.fhe_standard_bits = 0;
  return toy;
}

TestLinear::TestLinear(std::size_t inputs, std::size_t outputs, bool two_sets, Weights kind,
                       bool with_bias, TestRandom& random, u32 id)
    : matrix(id), d_in(inputs), d_out(outputs), two_column_sets(two_sets),
      weights(inputs, two_sets ? 2 * outputs : outputs), scale(outputs),
      bias(with_bias ? outputs : 0) {
  for (std::size_t i = 0; i < d_in; ++i)
    for (std::size_t j = 0; j < weights.d_out(); ++j) weights.at(i, j) = draw_weight(kind, random);
  for (float& value : scale) value = 0.001f + 0.01f * static_cast<float>(random.uniform());
  for (float& value : bias) value = random.normal();
}

LinearSpec TestLinear::spec() const {
  LinearSpec out;
  out.matrix = matrix;
  out.name = name;
  out.d_in = d_in;
  out.d_out = d_out;
  out.two_column_sets = two_column_sets;
  out.columns = &weights;
  out.scale = scale;
  out.bias = bias;
  return out;
}

std::vector<i64> TestLinear::exact_product(const i32* x) const {
  std::vector<i64> out(d_out);
  for (std::size_t j = 0; j < d_out; ++j)
    for (std::size_t i = 0; i < d_in; ++i) {
      i64 weight = weights.at(i, j);
      if (two_column_sets) weight = 256 * weight + weights.at(i, d_out + j);
      out[j] += i64{x[i]} * weight;
    }
  return out;
}

kernels::PackedWeights copy_of(const kernels::PackedWeights& weights) {
  kernels::PackedWeights copy(weights.d_in(), weights.d_out());
  std::copy_n(weights.panel(0), weights.bytes(), copy.panel(0));
  return copy;
}

Matrix<float> test_rows(std::size_t rows, std::size_t cols, Activations kind, TestRandom& random) {
  Matrix<float> x(rows, cols);
  for (float& value : std::span(x.data(), rows * cols)) {
    switch (kind) {
    case Activations::gaussian:
      value = random.normal();
      break;
    case Activations::constant:
      value = -0.7315f;
      break;
    case Activations::outlier:
      value = 0.01f * random.normal();
      break;
    case Activations::zero:
      value = 0;
      break;
    case Activations::tiny:
      value = 1e-41f * random.normal();
      break;
    case Activations::huge:
      value = random.coin() ? 3.3e38f : -1e38f;
      break;
    case Activations::negative_zero:
      value = -0.0f;
      break;
    }
  }
  if (kind == Activations::outlier)
    for (std::size_t r = 0; r < rows; ++r) x(r, random.bits() % cols) = 300.0f;
  return x;
}

bool same_bits(const Matrix<float>& a, const Matrix<float>& b) {
  return a.rows() == b.rows() && a.cols() == b.cols() &&
         std::memcmp(a.data(), b.data(), a.rows() * a.cols() * sizeof(float)) == 0;
}

std::vector<MaskRow> masks_for(const MaskedLinear& linear, std::size_t rows, Rng& rng) {
  std::vector<MaskRow> masks;
  if (linear.mask_row_bytes() == 0) return masks;
  while (masks.size() < rows)
    for (MaskRow& row : linear.make_block(rng))
      if (masks.size() < rows) masks.push_back(std::move(row));
  return masks;
}

} // namespace talaria::remo::testing
