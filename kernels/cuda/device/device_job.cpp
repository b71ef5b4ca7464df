#include "kernels/cuda/device/device_job.hpp"

#include <algorithm>
#include <cstring>

#include "kernels/cuda/step_plan.hpp"

namespace talaria::kernels::cuda {

namespace {

/// Below this, waking another thread costs more than it saves.
constexpr std::size_t kWorthSharing = std::size_t{1} << 20;
constexpr std::size_t kPiece = std::size_t{256} << 10;

void copy_bytes(ThreadTeam& team, u8* to, const u8* from, std::size_t bytes) {
  if (bytes < kWorthSharing) {
    std::memcpy(to, from, bytes);
    return;
  }
  team.parallel_for(bytes, kPiece, [&](std::size_t begin, std::size_t end) {
    std::memcpy(to + begin, from + begin, end - begin);
  });
}

} // namespace

DeviceJob::DeviceJob(Device& device, std::span<const InputRows> rows)
    : device_(device), slot_(device.take_slot()) {
  for (const InputRows& group : rows) {
    group_rows_.push_back(group.count);
    rows_ += group.count;
  }
  steps_ = (rows_ + kStepRows - 1) / kStepRows;
}

DeviceJob::~DeviceJob() {
  if (slot_ == nullptr) return;
  device_.drain(); // it may have stopped halfway through start()
  device_.give_back(std::move(slot_));
}

void DeviceJob::start(const Device::Held& held, RowFormat format, std::span<const InputRows> rows) {
  in_row_bytes_ = held.d_in * device_.value_bytes_in(format);
  out_row_bytes_ = held.d_out * device_.value_bytes_out(format);
  device_.reserve(*slot_, rows_ * in_row_bytes_, rows_ * out_row_bytes_, steps_);
  device_.check_call(cudaEventRecord(slot_->begun.get(), device_.in_.get()), "cudaEventRecord");
  // The first step is copied by the device while the CPU gathers the next.
  std::size_t step = 0;
  std::size_t gathered = 0; // rows in pinned memory
  for (const InputRows& group : rows) {
    for (std::size_t done = 0; done < group.count;) {
      const std::size_t step_end = std::min(rows_, (step + 1) * kStepRows);
      const std::size_t count = std::min(group.count - done, step_end - gathered);
      copy_bytes(device_.team_, slot_->host_in.data() + gathered * in_row_bytes_,
                 group.bytes + done * in_row_bytes_, count * in_row_bytes_);
      done += count;
      gathered += count;
      if (gathered == step_end) put_step(step++, held, format);
    }
  }
}

void DeviceJob::put_step(std::size_t step, const Device::Held& held, RowFormat format) {
  const std::size_t first = step * kStepRows;
  const std::size_t count = std::min(kStepRows, rows_ - first);
  const auto call = [this](cudaError_t status, const char* name) {
    device_.check_call(status, name);
  };
  Device::Slot& slot = *slot_;
  const Device::Step& events = slot.steps[step];
  u8* in = slot.in.as<u8>() + first * in_row_bytes_;
  u8* out = slot.out.as<u8>() + first * out_row_bytes_;
  const cudaStream_t compute = device_.compute_.get();

  call(cudaMemcpyAsync(in, slot.host_in.data() + first * in_row_bytes_, count * in_row_bytes_,
                       cudaMemcpyHostToDevice, device_.in_.get()),
       "cudaMemcpyAsync of rows");
  call(cudaEventRecord(events.copied_in.get(), device_.in_.get()), "cudaEventRecord");

  call(cudaStreamWaitEvent(compute, events.copied_in.get(), 0), "cudaStreamWaitEvent");
  if (step == 0) call(cudaEventRecord(slot.compute_begun.get(), compute), "cudaEventRecord");
  device_.multiply(held, format, {in, out, count});
  call(cudaEventRecord(events.computed.get(), compute), "cudaEventRecord");

  call(cudaStreamWaitEvent(device_.out_.get(), events.computed.get(), 0), "cudaStreamWaitEvent");
  call(cudaMemcpyAsync(slot.host_out.data() + first * out_row_bytes_, out, count * out_row_bytes_,
                       cudaMemcpyDeviceToHost, device_.out_.get()),
       "cudaMemcpyAsync of results");
  call(cudaEventRecord(events.copied_out.get(), device_.out_.get()), "cudaEventRecord");
}

bool DeviceJob::ready() {
  if (slot_ == nullptr) return true;
  use_device(device_.memory_.device());
  const cudaError_t status = cudaEventQuery(slot_->steps[0].copied_out.get());
  if (status == cudaErrorNotReady) {
    cudaGetLastError(); // or the next launch would be blamed for it
    return false;
  }
  device_.check_call(status, "a product");
  return true;
}

std::vector<Job::Reply> DeviceJob::finish() {
  use_device(device_.memory_.device());
  std::vector<std::shared_ptr<AlignedBuffer<u8>>> replies;
  for (const std::size_t count : group_rows_)
    replies.push_back(device_.pool_.take(count * out_row_bytes_));

  std::size_t group = 0;
  std::size_t in_group = 0; // rows of it that are in its reply
  for (std::size_t step = 0, at = 0; step < steps_; ++step) {
    device_.check_call(cudaEventSynchronize(slot_->steps[step].copied_out.get()), "a product");
    for (const std::size_t end = std::min(rows_, (step + 1) * kStepRows); at < end;) {
      const std::size_t count = std::min(end - at, group_rows_[group] - in_group);
      copy_bytes(device_.team_, replies[group]->data() + in_group * out_row_bytes_,
                 slot_->host_out.data() + at * out_row_bytes_, count * out_row_bytes_);
      at += count;
      in_group += count;
      if (in_group == group_rows_[group]) {
        ++group;
        in_group = 0;
      }
    }
  }
  times_ = read_times();
  device_.give_back(std::move(slot_));
  return {replies.begin(), replies.end()};
}

double DeviceJob::ms_since_begun(const Event& event) const {
  float ms = 0;
  device_.check_call(cudaEventElapsedTime(&ms, slot_->begun.get(), event.get()),
                     "cudaEventElapsedTime");
  return ms;
}

JobTimes DeviceJob::read_times() const {
  const Device::Step& first = slot_->steps.front();
  const Device::Step& last = slot_->steps[steps_ - 1];
  return {{0, ms_since_begun(last.copied_in)},
          {ms_since_begun(slot_->compute_begun), ms_since_begun(last.computed)},
          {ms_since_begun(first.computed), ms_since_begun(last.copied_out)}};
}

} // namespace talaria::kernels::cuda
