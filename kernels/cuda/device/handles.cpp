#include "kernels/cuda/device/handles.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "core/concat.hpp"
#include "core/error.hpp"
#include "kernels/cuda/accelerator.hpp"

namespace talaria::kernels::cuda {

namespace {

/// Errors after which, by the runtime's documentation, "any further CUDA work will return the same
/// error" and "the process must be terminated and relaunched"; and uncorrectable errors of memory
/// and links. By number: older toolkits do not name them all.
bool is_for_good(cudaError_t status) {
  constexpr int kForGood[] = {214, 220, 226, 700, 702, 710, 714, 715,
                              716, 717, 718, 719, 721, 810, 911};
  return std::find(std::begin(kForGood), std::end(kForGood), static_cast<int>(status)) !=
         std::end(kForGood);
}

/// Growing makes the device wait, so a buffer grows by more than is asked for.
std::size_t growth(std::size_t bytes) {
  return round_up(bytes, std::size_t{bytes < (1U << 20) ? 1U << 16 : 1U << 20});
}

} // namespace

void check(cudaError_t status, const char* call, int device) {
  if (status == cudaSuccess) return;
  cudaGetLastError(); // an error that the device survives is not to be reported again later
  const std::string what =
      concat("cuda:", device, ": ", call, " failed: ", cudaGetErrorString(status), " (",
             cudaGetErrorName(status),
             "); restart this worker, and look at nvidia-smi if it happens again");
  if (is_for_good(status)) throw DeviceLost(what);
  throw Error(Errc::internal, what);
}

void use_device(int device) {
  check(cudaSetDevice(device), "cudaSetDevice", device);
}

DeviceMemory::DeviceMemory(int device, std::string name, std::size_t max_bytes)
    : device_(device), name_(std::move(name)), max_bytes_(max_bytes) {}

std::size_t DeviceMemory::free_bytes() const {
  use_device(device_);
  std::size_t free = 0;
  std::size_t total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo", device_);
  if (max_bytes_ == 0) return free;
  const std::size_t used = used_;
  return std::min(free, max_bytes_ - std::min(max_bytes_, used));
}

void* DeviceMemory::take(std::size_t bytes, const std::string& purpose, std::size_t keep) {
  const std::size_t free = free_bytes();
  void* memory = nullptr;
  cudaError_t status = cudaErrorMemoryAllocation;
  if (bytes <= free && keep <= free - bytes)
    status = cudaMalloc(&memory, std::max<std::size_t>(bytes, 1));
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    throw Error(Errc::usage,
                concat(name_, ": ", purpose, " needs ", bytes, " bytes of device memory",
                       keep == 0 ? "" : concat(" and products ", keep), ", ", free,
                       " are free; use more devices (--device cuda:0,1), fewer layers (--layers) "
                       "or a share of the columns (--columns)"));
  }
  check(status, "cudaMalloc", device_);
  used_ += bytes;
  return memory;
}

void DeviceMemory::give_back(void* memory, std::size_t bytes) noexcept {
  cudaFree(memory); // finds the device by the address; whoever calls has seen its work end
  used_ -= bytes;
}

void DeviceBuffer::ensure(DeviceMemory& memory, std::size_t bytes, const std::string& purpose) {
  if (bytes <= bytes_) return;
  bytes = growth(bytes);
  *this = DeviceBuffer(); // first, so that both need not fit at once
  *this = DeviceBuffer(memory, bytes, purpose);
}

void PinnedBuffer::ensure(std::size_t bytes, int device) {
  if (bytes <= bytes_) return;
  bytes = growth(bytes);
  data_.reset();
  bytes_ = 0;
  void* memory = nullptr;
  check(cudaMallocHost(&memory, bytes), "cudaMallocHost", device);
  data_.reset(static_cast<u8*>(memory));
  bytes_ = bytes;
}

Stream::Stream(int device) {
  use_device(device);
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags",
        device);
  stream_.reset(stream);
}

Event::Event(int device, bool timed) {
  use_device(device);
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, timed ? cudaEventDefault : cudaEventDisableTiming),
        "cudaEventCreateWithFlags", device);
  event_.reset(event);
}

} // namespace talaria::kernels::cuda
