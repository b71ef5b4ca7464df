#pragma once

#include <cuda_runtime_api.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "core/integers.hpp"

namespace talaria::kernels::cuda {

/// @throws Error{internal} naming the device and the call, unless `status` is success; DeviceLost
/// if the runtime says so of all further calls.
void check(cudaError_t status, const char* call, int device);

/// Makes a device the calling thread's current one, as most calls of the runtime want it.
/// @throws Error{internal}
void use_device(int device);

/// Keeps account of the memory taken from one device.
class DeviceMemory {
public:
  /// At most `max_bytes`, or all that is free if that is 0. `name` is for errors.
  DeviceMemory(int device, std::string name, std::size_t max_bytes);

  /// Bytes that can still be had, as far as anybody knows: others may use the device too.
  std::size_t free_bytes() const;
  /// @param purpose  for errors: "matrix 12", "rows of a product"
  /// @param keep  bytes that must be left
  /// @throws Error{usage} with the bytes needed and those free if there is no room.
  void* take(std::size_t bytes, const std::string& purpose, std::size_t keep = 0);
  void give_back(void* memory, std::size_t bytes) noexcept;

  int device() const noexcept { return device_; }
  const std::string& name() const noexcept { return name_; } ///< "cuda:0 NVIDIA H200"
  std::size_t used_bytes() const noexcept { return used_; }

private:
  int device_;
  std::string name_;
  std::size_t max_bytes_;
  std::atomic<std::size_t> used_ = 0;
};

/// Memory on a device. Move-only.
class DeviceBuffer {
public:
  DeviceBuffer() = default;
  /// See DeviceMemory::take().
  DeviceBuffer(DeviceMemory& memory, std::size_t bytes, const std::string& purpose,
               std::size_t keep = 0)
      : memory_(&memory), data_(memory.take(bytes, purpose, keep)), bytes_(bytes) {}
  DeviceBuffer(DeviceBuffer&& other) noexcept { swap(other); }
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~DeviceBuffer() {
    if (data_ != nullptr) memory_->give_back(data_, bytes_);
  }

  template <class T>
  T* as() const noexcept {
    return static_cast<T*>(data_);
  }
  std::size_t bytes() const noexcept { return bytes_; }

  /// Makes it at least this large, rounded up so that sizes that differ a little share it. Old
  /// contents are lost, and the device must not be using them.
  void ensure(DeviceMemory& memory, std::size_t bytes, const std::string& purpose);

private:
  void swap(DeviceBuffer& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
  }
  DeviceMemory* memory_ = nullptr;
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

/// Host memory that a device copies to and from by itself, while the CPU does something else.
class PinnedBuffer {
public:
  u8* data() const noexcept { return data_.get(); }
  /// As DeviceBuffer::ensure(). @throws Error{internal}
  void ensure(std::size_t bytes, int device);

private:
  struct Free {
    void operator()(u8* memory) const noexcept { cudaFreeHost(memory); }
  };
  std::unique_ptr<u8, Free> data_;
  std::size_t bytes_ = 0;
};

/// A queue of work on a device.
class Stream {
public:
  /// @throws Error{internal}
  explicit Stream(int device);
  cudaStream_t get() const noexcept { return stream_.get(); }

private:
  struct Destroy {
    void operator()(cudaStream_t stream) const noexcept { cudaStreamDestroy(stream); }
  };
  std::unique_ptr<CUstream_st, Destroy> stream_;
};

/// A point in a stream.
class Event {
public:
  /// Events that cannot be timed are quicker to wait for. @throws Error{internal}
  explicit Event(int device, bool timed = false);
  cudaEvent_t get() const noexcept { return event_.get(); }

private:
  struct Destroy {
    void operator()(cudaEvent_t event) const noexcept { cudaEventDestroy(event); }
  };
  std::unique_ptr<CUevent_st, Destroy> event_;
};

} // namespace talaria::kernels::cuda
