#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/thread_team.hpp"
#include "kernels/cuda/accelerator.hpp"
#include "kernels/cuda/device/gemm.hpp"
#include "kernels/cuda/device/handles.hpp"
#include "kernels/cuda/residue_math.hpp"

namespace talaria::kernels::cuda {

/// One GPU: its matrices, and the three streams on which jobs run one behind the other.
///
///   copy in   ▒▒ a ▒▒│▒▒ b ▒▒│
///   compute          │▓▓ a ▓▓▓▓│▓▓ b ▓▓▓▓│
///   copy out                   │▒▒▒ a ▒▒▒│▒▒▒ b ▒▒▒│
///
/// A job of many rows is cut into steps of kStepRows, which follow each other in the same way.
class Device {
public:
  /// `team` is used by all jobs and must outlive the device. @throws Error{usage}
  Device(const DeviceInfo& info, const AcceleratorOptions& options, ThreadTeam& team);
  ~Device(); ///< waits for everything; no job may be left

  const std::string& name() const noexcept { return memory_.name(); }
  std::size_t free_bytes() const { return memory_.free_bytes(); }
  std::size_t used_bytes() const noexcept { return memory_.used_bytes(); }
  /// See Accelerator.
  void add(u32 matrix, const PackedWeights& weights);
  void remove(u32 matrix);
  std::unique_ptr<Job> begin(u32 matrix, RowFormat format, std::span<const InputRows> rows,
                             bool timed);

private:
  friend class DeviceJob;
  struct Held {
    std::size_t d_in = 0;
    std::size_t d_out = 0;
    std::size_t panels = 0;
    std::size_t depth = 0; ///< d_in padded to kDepthStep
    DeviceBuffer columns;  ///< [64 panels][depth], zero padded
  };
  /// Points in the streams between which a step of a job is copied and computed.
  struct Step {
    explicit Step(int device) : copied_in(device), computed(device), copied_out(device) {}
    Event copied_in, computed, copied_out;
  };
  /// Points of a job whose times are wanted.
  struct TimedPoints {
    explicit TimedPoints(int device)
        : begun(device, true), copied_in(device, true), compute_begun(device, true),
          first_computed(device, true), computed(device, true), copied_out(device, true) {}
    Event begun, copied_in, compute_begun, first_computed, computed, copied_out;
  };
  /// What one job needs to itself. Kept for the next one.
  struct Slot {
    PinnedBuffer host_in, host_out;
    DeviceBuffer in, out;
    std::vector<Step> steps;
    std::optional<TimedPoints> timed; ///< once such a job had this slot
  };
  /// Some rows of a job, in device memory.
  struct Rows {
    const u8* in = nullptr;
    u8* out = nullptr;
    std::size_t count = 0;
  };

  std::unique_ptr<Slot> take_slot();
  void give_back(std::unique_ptr<Slot> slot) noexcept;
  void reserve(Slot& slot, std::size_t in_bytes, std::size_t out_bytes, std::size_t steps);
  /// Device memory for the rows and results of a job.
  void reserve_rows(Slot& slot, std::size_t in_bytes, std::size_t out_bytes);
  /// ensure() for a buffer that work on compute_ may still be using.
  void grow(DeviceBuffer& buffer, std::size_t bytes, const char* purpose);
  /// How words of one modulus are cut into limbs, put together and sent.
  struct WordPlan {
    WordPlan(const Modulus& modulus, u64 reply_modulus)
        : limbs(modulus), recombination(modulus), full(modulus, 0),
          switched(modulus, reply_modulus) {}
    LimbFormat limbs;
    Recombination recombination;
    ReplyFormat full;
    ReplyFormat switched;
  };

  void multiply(const Held& held, RowFormat format, const Rows& rows);
  void multiply_limbs(const Held& held, RowFormat format, const Rows& rows);
  void multiply_int8(const Held& held, const Rows& rows);
  void multiply_floats(const Held& held, const Rows& rows);
  /// Sums of `limb_rows` int8 rows in limbs_, for one run of columns after the other; then
  /// `take(first_column, padded_columns)` is to put work on the stream that reads them.
  template <class Take>
  void for_column_runs(const Held& held, std::size_t limb_rows, Take take);
  /// @throws Error{internal} for rounded words without a rounded modulus.
  const WordPlan& plan_of(RowFormat format) const;
  std::size_t value_bytes_in(RowFormat format) const;
  /// @throws Error{internal} for switched replies without a reply modulus.
  std::size_t value_bytes_out(RowFormat format) const;
  void check_call(cudaError_t status, const char* call) const {
    check(status, call, memory_.device());
  }
  /// Waits for whatever is on the streams, whether it failed or not.
  void drain() noexcept;

  DeviceMemory memory_;
  ThreadTeam& team_;
  const std::size_t sums_bytes_;
  const WordPlan full_;
  const std::optional<WordPlan> rounded_;

  std::mutex mutex_; ///< guards what follows, and the order of work on the streams
  Stream in_, compute_, out_;
  Gemm gemm_;
  std::map<u32, Held> held_;
  DeviceBuffer limbs_;  ///< of the step being computed: int8 rows, padded to Held::depth
  DeviceBuffer sums_;   ///< of the run of columns being computed
  DeviceBuffer floats_; ///< weights of the run of columns being computed, as fp32

  std::mutex slots_mutex_;
  std::vector<std::unique_ptr<Slot>> free_slots_;
};

} // namespace talaria::kernels::cuda
