#pragma once

#include <algorithm>
#include <chrono>

namespace talaria::connect {

/// When the next attempt may be made: after `first`, then twice as long each time, up to `most`.
class Backoff {
public:
  using Clock = std::chrono::steady_clock;
  using Duration = std::chrono::milliseconds;

  Backoff(Duration first, Duration most) : first_(first), most_(most) {}

  /// An attempt failed. @param most  bounds this wait further
  void failed(Clock::time_point now, Duration most) {
    wait_ = std::min({std::max(first_, wait_ * 2), most_, most});
    next_ = now + wait_;
  }
  void succeeded() {
    wait_ = Duration(0);
    next_ = {};
  }
  Clock::time_point next() const { return next_; }

private:
  const Duration first_;
  const Duration most_;
  Duration wait_{0};
  Clock::time_point next_{};
};

} // namespace talaria::connect
