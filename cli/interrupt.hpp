#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

namespace talaria::cli {

/// Turns Ctrl-C and SIGTERM into a clean end: the first one calls `on_interrupt`, a second one ends
/// the process at once, and so does an end that takes too long, with status 70. Make it first thing
/// in main(), before any other thread exists, so that all inherit the blocked signals.
class InterruptWatch {
public:
  /// What servers, nodes and gigabytes to be wiped need, and a few times that.
  static constexpr std::chrono::seconds kToEnd{60};

  /// @param to_end  between the first signal and the end of the process
  explicit InterruptWatch(std::chrono::milliseconds to_end = kToEnd);
  ~InterruptWatch();
  InterruptWatch(const InterruptWatch&) = delete;
  InterruptWatch& operator=(const InterruptWatch&) = delete;

  /// What an interrupt does from now on; without it the process ends at once with status 130.
  void on_interrupt(std::function<void()> action);
  /// Hears of every signal first, for a program that goes on behind some. True: the signal has been
  /// dealt with, and counts for nothing. Null: nobody does.
  void on_each(std::function<bool(int signal)> action);
  bool interrupted() const noexcept { return count_.load() > 0; }

private:
  void watch();
  int next_signal();

  const std::chrono::milliseconds to_end_;
  std::chrono::steady_clock::time_point deadline_; ///< once there was a signal
  std::mutex mutex_;
  std::function<void()> action_;
  std::function<bool(int signal)> each_;
  std::atomic<int> count_{0};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

/// What an interrupt does for as long as this lives: however a command ends, no signal finds an
/// action whose objects are gone. Declare it behind them.
class OnInterrupt {
public:
  OnInterrupt(InterruptWatch& watch, std::function<void()> action) : watch_(watch) {
    watch_.on_interrupt(std::move(action));
  }
  ~OnInterrupt() { watch_.on_interrupt(nullptr); }
  OnInterrupt(const OnInterrupt&) = delete;
  OnInterrupt& operator=(const OnInterrupt&) = delete;

private:
  InterruptWatch& watch_;
};

/// The same for every signal.
class OnEachSignal {
public:
  OnEachSignal(InterruptWatch& watch, std::function<bool(int signal)> action) : watch_(watch) {
    watch_.on_each(std::move(action));
  }
  ~OnEachSignal() { watch_.on_each(nullptr); }
  OnEachSignal(const OnEachSignal&) = delete;
  OnEachSignal& operator=(const OnEachSignal&) = delete;

private:
  InterruptWatch& watch_;
};

} // namespace talaria::cli
