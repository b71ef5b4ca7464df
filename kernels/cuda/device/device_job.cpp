#include "kernels/cuda/device/device_job.hpp"

#include <algorithm>
#include <cstring>

#include "kernels/cuda/step_plan.hpp"

namespace talaria::kernels::cuda {

namespace {

/// Below this, waking another thread costs more than it saves.
constexpr std::size_t kWorthSharing = std::size_t{1} << 20;
/// Below this, copies take less time than the calls that let streams wait for each other.
constexpr std::size_t kWorthStreams = std::size_t{256} << 10;
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

DeviceJob::DeviceJob(Device& device, std::span<const InputRows> rows, bool timed)
    : device_(device), slot_(device.take_slot()), timed_(timed) {
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
  one_stream_ = steps_ == 1 && rows_ * (in_row_bytes_ + out_row_bytes_) <= kWorthStreams;
  if (timed_ && !slot_->timed) slot_->timed.emplace(device_.memory_.device());
  mark(&Device::TimedPoints::begun, one_stream_ ? device_.compute_.get() : device_.in_.get());
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
  using Points = Device::TimedPoints;
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
  const cudaStream_t copy_in = one_stream_ ? compute : device_.in_.get();
  const cudaStream_t copy_out = one_stream_ ? compute : device_.out_.get();
  const auto hand_on = [&](const Event& event, cudaStream_t from, cudaStream_t to) {
    if (from == to) return;
    call(cudaEventRecord(event.get(), from), "cudaEventRecord");
    call(cudaStreamWaitEvent(to, event.get(), 0), "cudaStreamWaitEvent");
  };
  const bool last = step + 1 == steps_;

  call(cudaMemcpyAsync(in, slot.host_in.data() + first * in_row_bytes_, count * in_row_bytes_,
                       cudaMemcpyHostToDevice, copy_in),
       "cudaMemcpyAsync of rows");
  if (last) mark(&Points::copied_in, copy_in);
  hand_on(events.copied_in, copy_in, compute);

  if (step == 0) mark(&Points::compute_begun, compute);
  device_.multiply(held, format, {in, out, count});
  if (step == 0) mark(&Points::first_computed, compute);
  if (last) mark(&Points::computed, compute);
  hand_on(events.computed, compute, copy_out);

  call(cudaMemcpyAsync(slot.host_out.data() + first * out_row_bytes_, out, count * out_row_bytes_,
                       cudaMemcpyDeviceToHost, copy_out),
       "cudaMemcpyAsync of results");
  call(cudaEventRecord(events.copied_out.get(), copy_out), "cudaEventRecord");
  if (last) mark(&Points::copied_out, copy_out);
}

void DeviceJob::mark(Event Device::TimedPoints::*point, cudaStream_t stream) {
  if (!timed_) return;
  device_.check_call(cudaEventRecord(((*slot_->timed).*point).get(), stream), "cudaEventRecord");
}

bool DeviceJob::ready() {
  if (slot_ == nullptr) return true;
  use_device(device_.memory_.device());
  const cudaError_t status = cudaEventQuery(slot_->steps[steps_ - 1].copied_out.get());
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
    replies.push_back(std::make_shared<AlignedBuffer<u8>>(count * out_row_bytes_, Unwritten{}));

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
  if (timed_) times_ = read_times();
  device_.give_back(std::move(slot_));
  return {replies.begin(), replies.end()};
}

double DeviceJob::ms_since_begun(const Event& event) const {
  float ms = 0;
  device_.check_call(cudaEventElapsedTime(&ms, slot_->timed->begun.get(), event.get()),
                     "cudaEventElapsedTime");
  return ms;
}

JobTimes DeviceJob::read_times() const {
  const Device::TimedPoints& points = *slot_->timed;
  // Recorded behind the last copy's own event.
  device_.check_call(cudaEventSynchronize(points.copied_out.get()), "a product");
  return {{0, ms_since_begun(points.copied_in)},
          {ms_since_begun(points.compute_begun), ms_since_begun(points.computed)},
          {ms_since_begun(points.first_computed), ms_since_begun(points.copied_out)}};
}

} // namespace talaria::kernels::cuda
