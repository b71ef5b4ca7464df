#include "kernels/cuda/device/self_check.hpp"

#include <algorithm>
#include <limits>
#include <vector>

#include "core/error.hpp"
#include "core/splitmix.hpp"
#include "kernels/cuda/step_plan.hpp"
#include "kernels/product_kernels.hpp"

namespace talaria::kernels::cuda {

namespace {

constexpr u32 kMatrix = std::numeric_limits<u32>::max(); ///< no matrix of a model has this number

/// A product of few rows, its outputs more than a block of the recombination and odd; and one of a
/// whole step, for which cuBLASLt takes other kernels.
struct Shape {
  std::size_t rows, d_in, d_out;
};
constexpr Shape kShapes[] = {{5, 131, 1091}, {kStepRows, 122, 331}};

void check_shape(Device& device, const Modulus& modulus, RowFormat format, const Shape& shape) {
  SplitMix numbers;
  PackedWeights weights(shape.d_in, shape.d_out);
  for (std::size_t i = 0; i < shape.d_in; ++i)
    for (std::size_t j = 0; j < shape.d_out; ++j)
      weights.at(i, j) = static_cast<i8>(numbers.next() >> 56);
  const auto width = static_cast<std::size_t>(modulus.word_bytes);
  std::vector<u8> words(shape.rows * shape.d_in * width);
  for (std::size_t i = 0; i < shape.rows * shape.d_in; ++i)
    store_word(words.data() + i * width, numbers.next() % modulus.q, modulus.word_bytes);
  std::vector<u8> expected(shape.rows * shape.d_out * width);
  product_kernel_sets().back().residue_product(words.data(), shape.rows, weights, modulus,
                                               expected.data(), 0, weights.panels());

  device.add(kMatrix, weights);
  const InputRows rows{words.data(), shape.rows};
  const auto replies = device.begin(kMatrix, format, {&rows, 1}, false)->finish();
  device.remove(kMatrix);
  if (!std::equal(replies[0]->begin(), replies[0]->end(), expected.begin(), expected.end()))
    throw Error(Errc::internal, device.name() + ": its products differ from the reference "
                                                "kernels; do not use this device, or update its "
                                                "driver and cuBLAS");
}

} // namespace

void check_known_answers(Device& device, const Modulus& modulus, RowFormat format) {
  for (const Shape& shape : kShapes) check_shape(device, modulus, format, shape);
}

} // namespace talaria::kernels::cuda
