#include "kernels/cuda/device/device_kernels.hpp"
#include "tests/cuda/fake_runtime.hpp"
#include "tests/cuda/grid.hpp"

namespace talaria::kernels::cuda {

using namespace test;

cudaError_t unpack_panels(const PanelsToColumns& job, cudaStream_t stream) {
  const Lock lock(Runtime::get().mutex);
  Runtime::get().want_device(job.packed, job.panels * job.groups * kPanelColumns * 4);
  Runtime::get().want_device(job.columns, job.panels * kPanelColumns * job.depth);
  put(stream, [job] {
    for_grid(unpack_blocks(job), 1, [&](const ThreadIndex& at) { unpack_thread(at, job); });
  });
  return cudaSuccess;
}

cudaError_t split_limbs(const WordsToLimbs& job, cudaStream_t stream) {
  const Lock lock(Runtime::get().mutex);
  const auto limbs = static_cast<std::size_t>(job.format.limbs);
  Runtime::get().want_device(job.words, job.rows * job.d_in * limbs);
  Runtime::get().want_device(job.limbs, job.rows * limbs * job.depth);
  put(stream, [job] { split_grid(job); });
  return cudaSuccess;
}

cudaError_t recombine(const SumsToReply& job, cudaStream_t stream) {
  const Lock lock(Runtime::get().mutex);
  const auto limbs = static_cast<std::size_t>(job.recombination.limbs);
  Runtime::get().want_device(job.sums, job.rows * limbs * job.stride * sizeof(i32));
  Runtime::get().want_device(job.out, job.rows * job.out_columns *
                                          static_cast<std::size_t>(job.packing.bytes));
  put(stream, [job] { recombine_grid(job); });
  return cudaSuccess;
}

cudaError_t widen(const i8* in, float* out, std::size_t count, cudaStream_t stream) {
  const Lock lock(Runtime::get().mutex);
  Runtime::get().want_device(in, count);
  Runtime::get().want_device(out, count * sizeof(float));
  put(stream, [=] {
    for (std::size_t i = 0; i < count; ++i) out[i] = in[i];
  });
  return cudaSuccess;
}

} // namespace talaria::kernels::cuda
