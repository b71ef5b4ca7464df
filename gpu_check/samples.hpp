#pragma once

#include <cstddef>
#include <vector>

#include "core/splitmix.hpp"
#include "core/thread_team.hpp"
#include "kernels/cuda/accelerator.hpp"
#include "kernels/packed_weights.hpp"

/// Reproducible rows and weights, and what the CPU makes of them.
namespace talaria::gpu_check {

/// Any int8, -128 included.
kernels::PackedWeights random_weights(std::size_t d_in, std::size_t d_out, SplitMix& numbers);
/// The same for large matrices, by all threads. d_in a multiple of 4, d_out one of 64.
kernels::PackedWeights many_weights(std::size_t d_in, std::size_t d_out, u64 seed,
                                    ThreadTeam& team);
/// `count` words below q; one in eight is 0, 1 or next to q or q / 2.
std::vector<u8> random_words(std::size_t count, const kernels::Modulus& q, SplitMix& numbers);
std::vector<u8> random_bytes(std::size_t count, SplitMix& numbers);

/// c W for words c: by the reference kernels if they are not too slow for it, else by those of this
/// CPU (which have reproduced the reference's known answers), shared by the team.
struct CpuProduct {
  std::vector<u8> bytes;
  const char* kernels = "";
};
CpuProduct cpu_product(const std::vector<u8>& words, std::size_t rows,
                       const kernels::PackedWeights& weights, const kernels::Modulus& q,
                       ThreadTeam& team);

/// One group of rows through begin() and finish().
std::vector<u8> gpu_product(kernels::cuda::Accelerator& accelerator, u32 matrix,
                            kernels::cuda::RowFormat format, const u8* rows, std::size_t count);

} // namespace talaria::gpu_check
