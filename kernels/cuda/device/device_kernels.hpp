#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

#include "kernels/cuda/thread_bodies.hpp"

/// The kernels of the worker's product, but for the multiplication itself. Each puts its work on a
/// stream and returns what the launch returned; all memory is the device's.
namespace talaria::kernels::cuda {

cudaError_t unpack_panels(const PanelsToColumns& job, cudaStream_t stream);
cudaError_t split_limbs(const WordsToLimbs& job, cudaStream_t stream);
/// One pass over the sums.
cudaError_t recombine(const SumsToReply& job, cudaStream_t stream);
/// out[i] = in[i] for i < count.
cudaError_t widen(const i8* in, float* out, std::size_t count, cudaStream_t stream);

} // namespace talaria::kernels::cuda
