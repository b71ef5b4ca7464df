#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "actors/cluster/node.hpp"
#include "core/integers.hpp"

namespace talaria::cluster {

using Clock = std::chrono::steady_clock;

/// How one worker has done so far, as far as it decides whether and when it is asked. Only events
/// that this side has seen are counted, never a worker's own account. No actor, no clock of its
/// own.
class Standing {
public:
  explicit Standing(const FaultPolicy& policy) : policy_(policy) {}

  /// The link says that the worker is there. False, and nothing changes, if that was said before an
  /// order to suspend it which still runs.
  bool came(Clock::time_point now);
  void went() noexcept { connected_ = false; }
  /// Whether it may be asked.
  bool usable(Clock::time_point now) const { return connected_ && now >= aside_until_; }
  bool connected() const noexcept { return connected_; }

  /// It answered what it was asked.
  void answered() noexcept { strikes_ = 0; }
  /// It refused, or missed a deadline. True if that is once too often in a row.
  bool failed(Clock::time_point now);
  u32 strikes() const noexcept { return strikes_; }
  /// Failures that are not forgotten yet: they are all, once the worker has failed in nothing for
  /// as long as a quarantine takes.
  u32 failures(Clock::time_point now) const;

  /// The worker is not to be asked for `time`. An order can only prolong another: true if it did.
  bool suspend(Clock::time_point now, Milliseconds time);
  /// The same for a lie. True if the worker was not in quarantine for another one.
  bool quarantine(Clock::time_point now);

private:
  FaultPolicy policy_;
  bool connected_ = false;
  bool liar_ = false; ///< while it is suspended
  u32 strikes_ = 0;
  u32 failures_ = 0;
  Clock::time_point last_failure_{};
  Clock::time_point aside_until_{};
};

/// How many lines about one worker go into the log: some at once, then one at a time. What a worker
/// does makes lines, and must not fill the disk or hide what others do.
class LineBudget {
public:
  static constexpr u32 kAtOnce = 20;
  static constexpr std::chrono::seconds kPause{5}; ///< until one more is allowed

  /// The line, and how many were left out before it; nothing if it is to be left out.
  std::optional<std::string> take(const std::string& line, Clock::time_point now);

private:
  u32 left_ = kAtOnce;
  u64 left_out_ = 0;
  Clock::time_point refilled_{};
};

} // namespace talaria::cluster
