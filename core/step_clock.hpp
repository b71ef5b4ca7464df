#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>

#include "core/integers.hpp"

namespace talaria {

/// Parts of a library call that a trace shows on their own.
enum class Step : u8 { verify, unpack };
inline constexpr std::size_t kSteps = 2;

/// Adds up the time that steps take on this thread while it lives. Rooms that know nothing of
/// tracing name their steps by a TimedStep; whoever calls them listens. They nest: the innermost
/// one hears.
class StepClock {
public:
  using Duration = std::chrono::nanoseconds;

  StepClock() noexcept : outer_(current_) { current_ = this; }
  ~StepClock() { current_ = outer_; }
  StepClock(const StepClock&) = delete;
  StepClock& operator=(const StepClock&) = delete;

  Duration spent(Step step) const noexcept { return spent_[static_cast<std::size_t>(step)]; }

private:
  friend class TimedStep;
  static inline constinit thread_local StepClock* current_ = nullptr;
  StepClock* outer_;
  std::array<Duration, kSteps> spent_{};
};

/// The enclosing scope is part of `step`. Costs a load and a branch while nobody listens.
class TimedStep {
public:
  explicit TimedStep(Step step) noexcept : TimedStep(step, 0, 1) {}
  /// The scope is that of row `row` of `rows` that take the same time: one in eight is timed and
  /// stands for the others, since short rows are done in the time of a few looks at the clock.
  TimedStep(Step step, std::size_t row, std::size_t rows) noexcept
      : clock_(row % kSampled == 0 ? StepClock::current_ : nullptr), step_(step),
        stands_for_(std::min(kSampled, rows - row)) {
    if (clock_ != nullptr) begin_ = std::chrono::steady_clock::now();
  }
  ~TimedStep() {
    if (clock_ != nullptr)
      clock_->spent_[static_cast<std::size_t>(step_)] +=
          (std::chrono::steady_clock::now() - begin_) * stands_for_;
  }
  TimedStep(const TimedStep&) = delete;
  TimedStep& operator=(const TimedStep&) = delete;

private:
  static constexpr std::size_t kSampled = 8;
  StepClock* clock_;
  Step step_;
  std::size_t stands_for_;
  std::chrono::steady_clock::time_point begin_;
};

} // namespace talaria
