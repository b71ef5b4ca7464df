#include "kernels/cuda/device/handles.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/error.hpp"

namespace talaria::kernels::cuda {

void check(cudaError_t status, const char* call, int device) {
  if (status == cudaSuccess) return;
  cudaGetLastError(); // an error that the device survives is not to be reported again later
  throw Error(Errc::internal,
              fmt::format("cuda:{}: {} failed: {} ({}); restart this worker, and "
                          "look at nvidia-smi if it happens again",
                          device, call, cudaGetErrorString(status), cudaGetErrorName(status)));
}

void use_device(int device) {
  check(cudaSetDevice(device), "cudaSetDevice", device);
}

DeviceMemory::DeviceMemory(int device, std::string name, std::size_t most_bytes)
    : device_(device), name_(std::move(name)), most_bytes_(most_bytes) {}

std::size_t DeviceMemory::free_bytes() const {
  use_device(device_);
  std::size_t free = 0;
  std::size_t total = 0;
  check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo", device_);
  if (most_bytes_ == 0) return free;
  const std::size_t used = used_;
  return std::min(free, most_bytes_ - std::min(most_bytes_, used));
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
                fmt::format("{}: {} needs {} bytes of device memory{}, {} are free; use more "
                            "devices (--device cuda:0,1), fewer layers (--layers) or a share of "
                            "the columns (--columns)",
                            name_, purpose, bytes,
                            keep == 0 ? "" : fmt::format(" and products {}", keep), free));
  }
  check(status, "cudaMalloc", device_);
  used_ += bytes;
  return memory;
}

void DeviceMemory::give_back(void* memory, std::size_t bytes) noexcept {
  cudaFree(memory); // waits for the device; finds it by the address
  used_ -= bytes;
}

void DeviceBuffer::ensure(DeviceMemory& memory, std::size_t bytes, const std::string& purpose) {
  if (bytes <= bytes_) return;
  *this = DeviceBuffer(); // first, so that both need not fit at once
  *this = DeviceBuffer(memory, bytes, purpose);
}

void PinnedBuffer::ensure(std::size_t bytes, int device) {
  if (bytes <= bytes_) return;
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

Event::Event(int device) {
  use_device(device);
  cudaEvent_t event = nullptr;
  check(cudaEventCreate(&event), "cudaEventCreate", device);
  event_.reset(event);
}

} // namespace talaria::kernels::cuda
