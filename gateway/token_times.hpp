#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <vector>

#include "core/integers.hpp"

namespace talaria::gateway {

/// When the tokens of a request's answers were made. Noted by the engine's threads, one call at a
/// time for each answer, and read by any.
class TokenTimes {
public:
  using Clock = std::chrono::steady_clock;
  /// Hears of the seconds between two tokens of one answer; empty: nobody does.
  using Between = std::function<void(double seconds)>;

  TokenTimes(std::size_t answers, Between between) : last_(answers), between_(std::move(between)) {}

  void token(std::size_t answer) {
    const auto now = Clock::now();
    auto& last = last_[answer];
    if (last && between_) between_(std::chrono::duration<double>(now - *last).count());
    last = now;
    if (count_.fetch_add(1) == 0) first_ = now.time_since_epoch().count();
  }
  /// Of all answers.
  u64 count() const noexcept { return count_; }
  /// When the first token of any answer was made.
  std::optional<Clock::time_point> first() const noexcept {
    const auto first = first_.load();
    if (first == 0) return std::nullopt;
    return Clock::time_point(Clock::duration(first));
  }

private:
  std::vector<std::optional<Clock::time_point>> last_;
  const Between between_;
  std::atomic<u64> count_{0};
  std::atomic<Clock::rep> first_{0};
};

} // namespace talaria::gateway
