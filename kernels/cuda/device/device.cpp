#include "kernels/cuda/device/device.hpp"

#include <algorithm>
#include <utility>

#include "core/concat.hpp"
#include "core/error.hpp"
#include "kernels/cuda/device/device_job.hpp"
#include "kernels/cuda/device/device_kernels.hpp"
#include "kernels/cuda/step_plan.hpp"

namespace talaria::kernels::cuda {

namespace {

constexpr std::size_t kStagingBytes = std::size_t{64} << 20;
/// Left free beside the matrices, together with the sums: rows, limbs, and the code of the
/// products, which cuBLASLt brings to the device when it is first used.
constexpr std::size_t kReserveBytes = std::size_t{512} << 20;
constexpr std::size_t kMaxInputs = (std::size_t{1} << 17) - 1; ///< int32 sums of int8 products

bool is_switched(RowFormat format) {
  return format == RowFormat::switched || format == RowFormat::rounded_switched;
}

} // namespace

Device::Device(const DeviceInfo& info, const AcceleratorOptions& options, ThreadTeam& team)
    : memory_(info.index, concat("cuda:", info.index, " ", info.name), options.max_bytes),
      team_(team), sums_bytes_(options.sums_bytes), full_(options.modulus, options.reply_modulus),
      rounded_(options.rounded_modulus == 0
                   ? std::nullopt
                   : std::optional<WordPlan>(std::in_place, Modulus(options.rounded_modulus),
                                             options.reply_modulus)),
      in_(info.index), compute_(info.index), out_(info.index), gemm_(memory_) {
  for (const WordPlan* plan : {&full_, rounded_ ? &*rounded_ : &full_})
    if (plan->limbs.limbs < kLeastLimbs || plan->limbs.limbs > kMaxLimbs)
      throw Error(Errc::internal, concat("no CUDA kernel for ", plan->limbs.limbs, " limbs"));
}

Device::~Device() {
  drain();
}

void Device::drain() noexcept {
  cudaSetDevice(memory_.device());
  for (const Stream* stream : {&in_, &compute_, &out_}) cudaStreamSynchronize(stream->get());
  cudaGetLastError();
}

void Device::add(u32 matrix, const PackedWeights& weights) {
  if (weights.d_in() > kMaxInputs)
    throw Error(Errc::usage, concat("matrix ", matrix, " has ", weights.d_in(),
                                    " inputs; int8 products take at most ", kMaxInputs));
  const std::lock_guard lock(mutex_);
  use_device(memory_.device());
  const std::size_t panels = weights.panels();
  const std::size_t depth = round_up(weights.d_in(), kDepthStep);
  const std::size_t bytes = panels * PackedWeights::kPanel * depth;
  Held held{weights.d_in(), weights.d_out(), panels, depth,
            DeviceBuffer(memory_, bytes, concat("matrix ", matrix), sums_bytes_ + kReserveBytes)};
  check_call(cudaMemsetAsync(held.columns.as<void>(), 0, bytes, compute_.get()), "cudaMemsetAsync");

  const std::size_t panel_bytes = weights.groups() * PackedWeights::kPanel * 4;
  const std::size_t at_once = std::clamp<std::size_t>(kStagingBytes / panel_bytes, 1, panels);
  const DeviceBuffer staging(memory_, at_once * panel_bytes, "loading weights");
  for (std::size_t first = 0; first < panels; first += at_once) {
    const std::size_t count = std::min(at_once, panels - first);
    check_call(cudaMemcpyAsync(staging.as<void>(), weights.panel(first), count * panel_bytes,
                               cudaMemcpyHostToDevice, compute_.get()),
               "cudaMemcpyAsync of weights");
    const PanelsToColumns job{staging.as<u32>(),
                              held.columns.as<u32>() + first * PackedWeights::kPanel * depth / 4,
                              count, weights.groups(), depth};
    check_call(unpack_panels(job, compute_.get()), "unpack_panels");
  }
  check_call(cudaStreamSynchronize(compute_.get()), "cudaStreamSynchronize after loading weights");
  held_.insert_or_assign(matrix, std::move(held));
}

void Device::remove(u32 matrix) {
  const std::lock_guard lock(mutex_);
  drain(); // a job that was dropped may still be reading it
  held_.erase(matrix);
}

std::unique_ptr<Job> Device::begin(u32 matrix, RowFormat format, std::span<const InputRows> rows,
                                   bool timed) {
  const std::lock_guard lock(mutex_);
  use_device(memory_.device());
  const auto held = held_.find(matrix);
  if (held == held_.end())
    throw Error(Errc::internal, concat(name(), " does not hold matrix ", matrix));
  auto job = std::make_unique<DeviceJob>(*this, rows, timed);
  job->start(held->second, format, rows);
  return job;
}

std::unique_ptr<Device::Slot> Device::take_slot() {
  {
    const std::lock_guard lock(slots_mutex_);
    if (!free_slots_.empty()) {
      auto slot = std::move(free_slots_.back());
      free_slots_.pop_back();
      return slot;
    }
  }
  return std::make_unique<Slot>();
}

void Device::give_back(std::unique_ptr<Slot> slot) noexcept try {
  const std::lock_guard lock(slots_mutex_);
  free_slots_.push_back(std::move(slot));
} catch (const std::bad_alloc&) {
  // Then the next job makes a slot of its own.
}

void Device::reserve(Slot& slot, std::size_t in_bytes, std::size_t out_bytes, std::size_t steps) {
  slot.host_in.ensure(in_bytes, memory_.device());
  slot.host_out.ensure(out_bytes, memory_.device());
  try {
    reserve_rows(slot, in_bytes, out_bytes);
  } catch (const Error& error) {
    if (error.code() != Errc::usage) throw;
    { // what earlier jobs needed is there no longer
      const std::lock_guard lock(slots_mutex_);
      free_slots_.clear();
    }
    reserve_rows(slot, in_bytes, out_bytes);
  }
  while (slot.steps.size() < steps) slot.steps.emplace_back(memory_.device());
}

void Device::reserve_rows(Slot& slot, std::size_t in_bytes, std::size_t out_bytes) {
  slot.in.ensure(memory_, in_bytes, "the rows of a product");
  slot.out.ensure(memory_, out_bytes, "the results of a product");
}

void Device::grow(DeviceBuffer& buffer, std::size_t bytes, const char* purpose) {
  if (bytes <= buffer.bytes()) return;
  check_call(cudaStreamSynchronize(compute_.get()), "cudaStreamSynchronize before growing");
  buffer.ensure(memory_, bytes, purpose);
}

const Device::WordPlan& Device::plan_of(RowFormat format) const {
  if (format != RowFormat::rounded && format != RowFormat::rounded_switched) return full_;
  if (!rounded_) throw Error(Errc::internal, "rounded words were sent without a rounded modulus");
  return *rounded_;
}

std::size_t Device::value_bytes_in(RowFormat format) const {
  if (format == RowFormat::float32) return sizeof(float);
  if (format == RowFormat::int8) return sizeof(i8);
  return static_cast<std::size_t>(plan_of(format).limbs.limbs);
}

std::size_t Device::value_bytes_out(RowFormat format) const {
  if (format == RowFormat::float32) return sizeof(float);
  if (format == RowFormat::int8) return sizeof(i32);
  const WordPlan& plan = plan_of(format);
  if (!is_switched(format)) return static_cast<std::size_t>(plan.full.bytes);
  if (!plan.switched.switched)
    throw Error(Errc::internal, "a switched reply was asked for without a reply modulus");
  return static_cast<std::size_t>(plan.switched.bytes);
}

void Device::multiply(const Held& held, RowFormat format, const Rows& rows) {
  if (format == RowFormat::float32)
    multiply_floats(held, rows);
  else if (format == RowFormat::int8)
    multiply_int8(held, rows);
  else
    multiply_limbs(held, format, rows);
}

template <class Take>
void Device::for_column_runs(const Held& held, std::size_t limb_rows, Take take) {
  const std::size_t rows = product_rows(limb_rows);
  const std::size_t at_once = columns_at_once(rows, held.d_out, sums_bytes_);
  const std::size_t padded = held.panels * PackedWeights::kPanel;
  grow(sums_, rows * at_once * sizeof(i32), "the sums of a product");
  for (std::size_t first = 0; first < padded; first += at_once) {
    const std::size_t columns = std::min(at_once, padded - first);
    const GemmShape shape{GemmKind::int8, columns,    rows,   held.depth,
                          held.depth,     held.depth, columns};
    gemm_.multiply(shape, held.columns.as<i8>() + first * held.depth, limbs_.as<i8>(),
                   sums_.as<i32>(), compute_.get());
    take(first, columns);
  }
}

void Device::multiply_limbs(const Held& held, RowFormat format, const Rows& rows) {
  const WordPlan& plan = plan_of(format);
  const std::size_t limb_rows = rows.count * static_cast<std::size_t>(plan.limbs.limbs);
  grow(limbs_, product_rows(limb_rows) * held.depth, "the limbs of a product");
  const WordsToLimbs split{rows.in,   limbs_.as<u32>(), rows.count,
                           held.d_in, held.depth,       plan.limbs};
  check_call(split_limbs(split, compute_.get()), "split_limbs");
  const ReplyFormat& reply = is_switched(format) ? plan.switched : plan.full;
  for_column_runs(held, limb_rows, [&](std::size_t first, std::size_t stride) {
    const std::size_t columns = std::min(stride, held.d_out - first);
    const SumsToReply job{
        sums_.as<i32>(), stride, rows.count,         columns, rows.out,
        held.d_out,      first,  plan.recombination, reply,   Packing(reply.bytes)};
    check_call(recombine(job, compute_.get()), "recombine");
  });
}

void Device::multiply_int8(const Held& held, const Rows& rows) {
  grow(limbs_, product_rows(rows.count) * held.depth, "the limbs of a product");
  // What stands in the padding does not matter: the weights are zero there.
  check_call(cudaMemcpy2DAsync(limbs_.as<i8>(), held.depth, rows.in, held.d_in, held.d_in,
                               rows.count, cudaMemcpyDeviceToDevice, compute_.get()),
             "cudaMemcpy2DAsync of rows");
  for_column_runs(held, rows.count, [&](std::size_t first, std::size_t stride) {
    const std::size_t columns = std::min(stride, held.d_out - first);
    check_call(cudaMemcpy2DAsync(rows.out + first * sizeof(i32), held.d_out * sizeof(i32),
                                 sums_.as<i32>(), stride * sizeof(i32), columns * sizeof(i32),
                                 rows.count, cudaMemcpyDeviceToDevice, compute_.get()),
               "cudaMemcpy2DAsync of sums");
  });
}

void Device::multiply_floats(const Held& held, const Rows& rows) {
  const std::size_t at_once = columns_at_once(held.depth, held.d_out, sums_bytes_);
  grow(floats_, at_once * held.depth * sizeof(float), "fp32 weights of a product");
  for (std::size_t first = 0; first < held.d_out; first += at_once) {
    const std::size_t columns = std::min(at_once, held.d_out - first);
    check_call(widen(held.columns.as<i8>() + first * held.depth, floats_.as<float>(),
                     columns * held.depth, compute_.get()),
               "widen");
    const GemmShape shape{GemmKind::float32, columns,   rows.count, held.d_in,
                          held.depth,        held.d_in, held.d_out};
    gemm_.multiply(shape, floats_.as<float>(), rows.in, rows.out + first * sizeof(float),
                   compute_.get());
  }
}

} // namespace talaria::kernels::cuda
