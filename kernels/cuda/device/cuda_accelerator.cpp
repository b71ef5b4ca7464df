#include <cuda_runtime_api.h>

#include <algorithm>
#include <map>
#include <shared_mutex>
#include <utility>

#include "core/concat.hpp"
#include "core/error.hpp"
#include "kernels/cuda/accelerator.hpp"
#include "kernels/cuda/device/device.hpp"
#include "kernels/cuda/device/self_check.hpp"

namespace talaria::kernels::cuda {

namespace {

/// Memory of replies that waits for its next use: a few of the largest.
constexpr std::size_t kSpareBytes = std::size_t{512} << 20;
/// More threads than this copy no faster than the device does.
constexpr std::size_t kCopyThreads = 4;

class CudaAccelerator final : public Accelerator {
public:
  CudaAccelerator(std::span<const DeviceInfo> devices, const AcceleratorOptions& options)
      : team_(std::clamp<std::size_t>(options.threads, 1, kCopyThreads)),
        spare_(LargeMemory::process(), kSpareBytes) {
    for (const DeviceInfo& device : devices) {
      devices_.push_back(std::make_unique<Device>(device, options, team_));
      check_known_answers(*devices_.back(), options.modulus, RowFormat::residues);
      if (options.rounded_modulus != 0)
        check_known_answers(*devices_.back(), Modulus(options.rounded_modulus), RowFormat::rounded);
    }
  }

  void add(u32 matrix, const PackedWeights& weights) override {
    const std::unique_lock lock(mutex_);
    Device& roomiest = this->roomiest();
    roomiest.add(matrix, weights);
    holder_[matrix] = &roomiest;
  }

  std::unique_ptr<Job> begin(u32 matrix, RowFormat format, std::span<const InputRows> rows,
                             bool timed) override {
    Device* device = nullptr;
    {
      const std::shared_lock lock(mutex_);
      if (const auto it = holder_.find(matrix); it != holder_.end()) device = it->second;
    }
    if (device == nullptr) throw Error(Errc::internal, concat("no device holds matrix ", matrix));
    std::size_t count = 0;
    for (const InputRows& group : rows) count += group.count;
    if (count == 0) throw Error(Errc::internal, "a product of no rows");
    return device->begin(matrix, format, rows, timed);
  }

  std::vector<std::size_t> used_bytes() const override {
    std::vector<std::size_t> bytes;
    for (const auto& device : devices_) bytes.push_back(device->used_bytes());
    return bytes;
  }

  /// Per device: one copied in, one multiplied, one copied out.
  std::size_t max_jobs() const override { return 3 * devices_.size(); }

  std::string name() const override {
    std::string names;
    for (const auto& device : devices_) names += (names.empty() ? "" : ", ") + device->name();
    return names;
  }

private:
  /// The device with the most free memory; of equals, which one GPU named twice is, the one that
  /// was given less.
  Device& roomiest() const {
    const auto room = [](const Device& device) {
      return std::pair(static_cast<double>(device.free_bytes()),
                       -static_cast<double>(device.used_bytes()));
    };
    Device* best = devices_.front().get();
    for (const auto& device : devices_)
      if (room(*device) > room(*best)) best = device.get();
    return *best;
  }

  ThreadTeam team_;
  LargeMemory::Allowance spare_;
  std::vector<std::unique_ptr<Device>> devices_;
  std::shared_mutex mutex_;
  std::map<u32, Device*> holder_;
};

} // namespace

std::vector<DeviceInfo> find_devices() {
  int driver = 0;
  int count = 0;
  cudaDriverGetVersion(&driver); // leaves 0 if there is none
  const cudaError_t status = cudaGetDeviceCount(&count);
  cudaGetLastError();
  if (status != cudaSuccess || count == 0) {
    const char* why = driver == 0             ? "there is no NVIDIA driver"
                      : status == cudaSuccess ? "none is visible"
                                              : cudaGetErrorString(status);
    throw Error(Errc::usage, concat("no CUDA device: ", why, "; install the driver for CUDA ",
                                    CUDART_VERSION / 1000, ".", CUDART_VERSION % 1000 / 10,
                                    " or newer and look at nvidia-smi, or use --device cpu"));
  }
  std::vector<DeviceInfo> devices;
  for (int index = 0; index < count; ++index) {
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, index), "cudaGetDeviceProperties", index);
    devices.push_back(
        {index, properties.name, properties.major, properties.minor, properties.totalGlobalMem});
  }
  return devices;
}

std::unique_ptr<Accelerator> open_devices(const AcceleratorOptions& options) {
  const std::vector<DeviceInfo> present = find_devices();
  std::vector<DeviceInfo> chosen;
  for (const int index : options.devices) {
    if (index < 0 || static_cast<std::size_t>(index) >= present.size())
      throw Error(Errc::usage, concat("--device cuda:", index,
                                      ": this machine has cuda:0 to cuda:", present.size() - 1));
    const DeviceInfo& device = present[static_cast<std::size_t>(index)];
    if (!device.usable())
      throw Error(Errc::usage,
                  concat("cuda:", index, " ", device.name, ": compute capability ", device.major,
                         ".", device.minor,
                         ", but 8.0 (Ampere) is the least that is supported; use --device cpu"));
    chosen.push_back(device);
  }
  if (chosen.empty()) throw Error(Errc::internal, "no CUDA device was chosen");
  return std::make_unique<CudaAccelerator>(chosen, options);
}

} // namespace talaria::kernels::cuda
