#include "kernels/cuda/device/device_kernels.hpp"

#include <type_traits>

#include "kernels/packed_weights.hpp"

namespace talaria::kernels::cuda {

static_assert(kPanelColumns == PackedWeights::kPanel);

namespace {

__device__ ThreadIndex here() {
  return {threadIdx.x, blockIdx.x, blockIdx.y};
}

__global__ void __launch_bounds__(kThreads) unpack_kernel(PanelsToColumns job) {
  unpack_thread(here(), job);
}

template <int kLimbs>
__global__ void __launch_bounds__(kThreads) split_kernel(WordsToLimbs job) {
  split_thread<kLimbs>(here(), job);
}

template <class Kind>
__global__ void __launch_bounds__(kThreads) recombine_kernel(SumsToReply job) {
  __shared__ BlockValues shared;
  recombine_thread<Kind>(here(), job, shared);
  __syncthreads();
  write_thread<Kind>(here(), job, shared);
}

__global__ void __launch_bounds__(kThreads)
    widen_kernel(const i8* in, float* out, std::size_t count) {
  const std::size_t n = here().along_x();
  if (n < count) out[n] = static_cast<float>(in[n]);
}

/// Launches with a number of limbs that the compiler knows.
template <class Launch>
cudaError_t for_limbs(int limbs, Launch launch) {
  static_assert(kLeastLimbs == 4 && kMaxLimbs == 7);
  if (limbs == 4)
    launch(std::integral_constant<int, 4>());
  else if (limbs == 5)
    launch(std::integral_constant<int, 5>());
  else if (limbs == 6)
    launch(std::integral_constant<int, 6>());
  else if (limbs == 7)
    launch(std::integral_constant<int, 7>());
  else
    return cudaErrorInvalidValue;
  return cudaGetLastError();
}

} // namespace

cudaError_t unpack_panels(const PanelsToColumns& job, cudaStream_t stream) {
  unpack_kernel<<<unpack_blocks(job), kThreads, 0, stream>>>(job);
  return cudaGetLastError();
}

cudaError_t split_limbs(const WordsToLimbs& job, cudaStream_t stream) {
  const dim3 grid(split_blocks_x(job), static_cast<unsigned>(job.rows));
  return for_limbs(job.format.limbs, [&](auto limbs) {
    split_kernel<limbs.value><<<grid, kThreads, 0, stream>>>(job);
  });
}

cudaError_t recombine(const SumsToReply& job, cudaStream_t stream) {
  const dim3 grid(reply_blocks_x(job), static_cast<unsigned>(job.rows));
  return for_limbs(job.recombination.limbs, [&](auto limbs) {
    if (job.reply.switched)
      recombine_kernel<ReplyKind<limbs.value, true>><<<grid, kThreads, 0, stream>>>(job);
    else
      recombine_kernel<ReplyKind<limbs.value, false>><<<grid, kThreads, 0, stream>>>(job);
  });
}

cudaError_t widen(const i8* in, float* out, std::size_t count, cudaStream_t stream) {
  widen_kernel<<<blocks_for(count, kThreads), kThreads, 0, stream>>>(in, out, count);
  return cudaGetLastError();
}

} // namespace talaria::kernels::cuda
