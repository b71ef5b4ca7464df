#include "kernels/cuda/device/device_kernels.hpp"

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

__global__ void __launch_bounds__(kThreads) split_kernel(WordsToLimbs job) {
  split_thread(here(), job);
}

template <int kLimbs>
__global__ void __launch_bounds__(kThreads) recombine_kernel(SumsToReply job) {
  __shared__ BlockValues shared;
  recombine_thread<kLimbs>(here(), job, shared);
  __syncthreads();
  pack_thread(here(), job, shared);
}

__global__ void __launch_bounds__(kThreads)
    widen_kernel(const i8* in, float* out, std::size_t count) {
  const std::size_t n = here().along_x();
  if (n < count) out[n] = static_cast<float>(in[n]);
}

} // namespace

cudaError_t unpack_panels(const PanelsToColumns& job, cudaStream_t stream) {
  unpack_kernel<<<unpack_blocks(job), kThreads, 0, stream>>>(job);
  return cudaGetLastError();
}

cudaError_t split_limbs(const WordsToLimbs& job, cudaStream_t stream) {
  const dim3 grid(split_blocks_x(job), static_cast<unsigned>(job.rows));
  split_kernel<<<grid, kThreads, 0, stream>>>(job);
  return cudaGetLastError();
}

cudaError_t recombine(const SumsToReply& job, cudaStream_t stream) {
  const dim3 grid(reply_blocks_x(job), static_cast<unsigned>(job.rows));
  switch (job.recombination.limbs) {
  case 4:
    recombine_kernel<4><<<grid, kThreads, 0, stream>>>(job);
    break;
  case 5:
    recombine_kernel<5><<<grid, kThreads, 0, stream>>>(job);
    break;
  case 6:
    recombine_kernel<6><<<grid, kThreads, 0, stream>>>(job);
    break;
  case 7:
    recombine_kernel<7><<<grid, kThreads, 0, stream>>>(job);
    break;
  default:
    return cudaErrorInvalidValue;
  }
  return cudaGetLastError();
}

cudaError_t widen(const i8* in, float* out, std::size_t count, cudaStream_t stream) {
  widen_kernel<<<blocks_for(count, kThreads), kThreads, 0, stream>>>(in, out, count);
  return cudaGetLastError();
}

} // namespace talaria::kernels::cuda
