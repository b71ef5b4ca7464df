#include "kernels/cuda/device/self_check.hpp"

#include <algorithm>
#include <limits>
#include <vector>

#include "core/error.hpp"
#include "kernels/kernel_set.hpp"

namespace talaria::kernels::cuda {

namespace {

constexpr u32 kMatrix = std::numeric_limits<u32>::max(); ///< no matrix of a model has this number
constexpr std::size_t kInputs = 131;
constexpr std::size_t kOutputs = 1091; ///< more than a block of the recombination, and odd
constexpr std::size_t kRows = 5;

/// Reproducible numbers of any size (Steele and others, "Fast splittable generators", 2014).
class Numbers {
public:
  u64 next() {
    u64 z = (state_ += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }

private:
  u64 state_ = 0;
};

} // namespace

void check_known_answers(Device& device, const Modulus& modulus) {
  Numbers numbers;
  PackedWeights weights(kInputs, kOutputs);
  for (std::size_t i = 0; i < kInputs; ++i)
    for (std::size_t j = 0; j < kOutputs; ++j)
      weights.at(i, j) = static_cast<i8>(numbers.next() >> 56);
  const auto width = static_cast<std::size_t>(modulus.word_bytes);
  std::vector<u8> words(kRows * kInputs * width);
  for (std::size_t i = 0; i < kRows * kInputs; ++i)
    store_word(words.data() + i * width, numbers.next() % modulus.q, modulus.word_bytes);
  std::vector<u8> expected(kRows * kOutputs * width);
  kernel_sets().back().residue_product(words.data(), kRows, weights, modulus, expected.data(), 0,
                                       weights.panels());

  device.add(kMatrix, weights);
  const InputRows rows{words.data(), kRows};
  const auto replies = device.begin(kMatrix, RowFormat::residues, {&rows, 1})->finish();
  device.remove(kMatrix);
  if (!std::equal(replies[0]->begin(), replies[0]->end(), expected.begin(), expected.end()))
    throw Error(Errc::internal, device.name() + ": its products differ from the reference "
                                                "kernels; do not use this device, or update its "
                                                "driver and cuBLAS");
}

} // namespace talaria::kernels::cuda
