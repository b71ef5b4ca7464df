#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "kernels/cuda/accelerator.hpp"
#include "kernels/cuda/device/device.hpp"

namespace talaria::kernels::cuda {

/// One product of a Device. Made and started under the device's lock; the rest may be called by
/// one thread at a time without it.
class DeviceJob final : public Job {
public:
  DeviceJob(Device& device, std::span<const InputRows> rows, bool timed);
  ~DeviceJob() override;

  /// Puts everything on the streams. @throws Error{internal} or Error{usage}, see
  /// Accelerator::begin.
  void start(const Device::Held& held, RowFormat format, std::span<const InputRows> rows);

  bool ready() override;
  std::vector<Reply> finish() override;
  JobTimes times() const override { return times_; }

private:
  void put_step(std::size_t step, const Device::Held& held, RowFormat format);
  /// Records a point if times are wanted.
  void mark(Event Device::TimedPoints::*point, cudaStream_t stream);
  double ms_since_begun(const Event& event) const;
  JobTimes read_times() const;

  Device& device_;
  std::unique_ptr<Device::Slot> slot_; ///< null when finished
  std::vector<std::size_t> group_rows_;
  std::size_t rows_ = 0;
  std::size_t steps_ = 0;
  std::size_t in_row_bytes_ = 0;
  std::size_t out_row_bytes_ = 0;
  bool one_stream_ = false; ///< too small to share the device with others
  const bool timed_;
  JobTimes times_;
};

} // namespace talaria::kernels::cuda
