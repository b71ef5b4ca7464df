#include "core/error.hpp"
#include "kernels/cuda/accelerator.hpp"

namespace talaria::kernels::cuda {

namespace {

[[noreturn]] void refuse() {
  throw Error(Errc::usage, "no CUDA device: this build has no CUDA kernels; configure it with "
                           "-DTALARIA_CUDA=ON where nvcc is, or use --device cpu");
}

} // namespace

std::vector<DeviceInfo> find_devices() {
  refuse();
}

std::unique_ptr<Accelerator> open_devices(const AcceleratorOptions&) {
  refuse();
}

} // namespace talaria::kernels::cuda
