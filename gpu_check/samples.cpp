#include "gpu_check/samples.hpp"

#include <cstring>

#include "kernels/product_kernels.hpp"

namespace talaria::gpu_check {

using kernels::Modulus;
using kernels::PackedWeights;

namespace {

constexpr std::size_t kSlow = 20'000'000; ///< multiplications that the reference may do

u64 residue(u64 q, SplitMix& numbers) {
  const u64 edges[] = {0, 1, q - 1, q - 2, q / 2, q / 2 + 1};
  return numbers.below(8) == 0 ? edges[numbers.below(6)] : numbers.below(q);
}

} // namespace

PackedWeights random_weights(std::size_t d_in, std::size_t d_out, SplitMix& numbers) {
  PackedWeights weights(d_in, d_out);
  for (std::size_t i = 0; i < d_in; ++i)
    for (std::size_t j = 0; j < d_out; ++j)
      weights.at(i, j) = static_cast<i8>(numbers.next() >> 56);
  return weights;
}

PackedWeights many_weights(std::size_t d_in, std::size_t d_out, u64 seed, ThreadTeam& team) {
  PackedWeights weights(d_in, d_out);
  const std::size_t panel_bytes = weights.groups() * PackedWeights::kPanel * 4;
  team.parallel_for(weights.panels(), 1, [&](std::size_t begin, std::size_t end) {
    for (std::size_t p = begin; p < end; ++p) {
      SplitMix numbers(seed * 1'000'003 + p);
      i8* const panel = weights.panel(p);
      for (std::size_t at = 0; at < panel_bytes; at += sizeof(u64)) {
        const u64 eight = numbers.next();
        std::memcpy(panel + at, &eight, sizeof eight);
      }
    }
  });
  return weights;
}

std::vector<u8> random_words(std::size_t count, const Modulus& q, SplitMix& numbers) {
  const auto width = static_cast<std::size_t>(q.word_bytes);
  std::vector<u8> words(count * width);
  for (std::size_t i = 0; i < count; ++i)
    kernels::store_word(words.data() + i * width, residue(q.q, numbers), q.word_bytes);
  return words;
}

std::vector<u8> random_bytes(std::size_t count, SplitMix& numbers) {
  std::vector<u8> bytes(count);
  for (u8& byte : bytes) byte = static_cast<u8>(numbers.next() >> 56);
  return bytes;
}

CpuProduct cpu_product(const std::vector<u8>& words, std::size_t rows, const PackedWeights& weights,
                       const Modulus& q, ThreadTeam& team) {
  const bool small = rows * weights.d_in() * weights.d_out() <= kSlow;
  const kernels::ProductKernels& set =
      small ? kernels::product_kernel_sets().back() : kernels::active_product_kernels();
  // Kernels may read 64 bytes past the end of their rows.
  AlignedBuffer<u8> padded(words.size(), Unwritten{});
  std::memcpy(padded.data(), words.data(), words.size());
  AlignedBuffer<u8> out(rows * weights.d_out() * static_cast<std::size_t>(q.word_bytes));
  const std::size_t runs = small ? 1 : 4 * team.threads();
  team.parallel_for(weights.panels(), (weights.panels() + runs - 1) / runs,
                    [&](std::size_t begin, std::size_t end) {
                      set.residue_product(padded.data(), rows, weights, q, out.data(), begin, end);
                    });
  return {{out.begin(), out.end()}, set.name};
}

std::vector<u8> gpu_product(kernels::cuda::Accelerator& accelerator, u32 matrix,
                            kernels::cuda::RowFormat format, const u8* rows, std::size_t count) {
  const kernels::cuda::InputRows input{rows, count};
  const auto replies = accelerator.begin(matrix, format, {&input, 1})->finish();
  return {replies.at(0)->begin(), replies.at(0)->end()};
}

} // namespace talaria::gpu_check
