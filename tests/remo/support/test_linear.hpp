#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/matrix.hpp"
#include "kernels/packed_weights.hpp"
#include "remo/masking_scheme.hpp"
#include "tests/remo/support/test_random.hpp"

namespace talaria::remo::testing {

/// Parameters with the modulus of an accepted set and a ring small enough for thousands of runs.
/// Their arithmetic is that of the real ones; their security is none.
LatticeParameters toy_parameters(const char* modulus_of, u32 n, u32 k);

enum class Weights { uniform, extreme, gaussian, zero, outlier };
enum class Activations { gaussian, constant, outlier, zero, tiny, huge, negative_zero };

/// A quantised matrix as the model room would hand it over.
struct TestLinear {
  TestLinear(std::size_t d_in, std::size_t d_out, bool two_column_sets, Weights kind,
             bool with_bias, TestRandom& random, u32 matrix = 7);

  LinearSpec spec() const;
  /// x W for the integers of one row, by plain loops; for int16 with 256 hi + lo.
  std::vector<i64> exact_product(const i32* x) const;

  u32 matrix;
  std::string name = "layers.3.qkv";
  std::size_t d_in;
  std::size_t d_out;
  bool two_column_sets;
  kernels::PackedWeights weights;
  std::vector<float> scale;
  std::vector<float> bias;
};

kernels::PackedWeights copy_of(const kernels::PackedWeights& weights);

Matrix<float> test_rows(std::size_t rows, std::size_t cols, Activations kind, TestRandom& random);

/// Bit for bit, NaN included.
bool same_bits(const Matrix<float>& a, const Matrix<float>& b);

/// Enough rows from as many blocks as that takes; none if the linear needs none.
std::vector<MaskRow> masks_for(const MaskedLinear& linear, std::size_t rows, Rng& rng);

} // namespace talaria::remo::testing
