#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <thread>

namespace talaria::cli {

/// Turns Ctrl-C and SIGTERM into a clean end: the first one calls `on_interrupt`, a second one ends
/// the process at once. Make it first thing in main(), before any other thread exists, so that all
/// inherit the blocked signals.
class InterruptWatch {
public:
  InterruptWatch();
  ~InterruptWatch();
  InterruptWatch(const InterruptWatch&) = delete;
  InterruptWatch& operator=(const InterruptWatch&) = delete;

  /// What an interrupt does from now on; without it the process ends at once with status 130.
  void on_interrupt(std::function<void()> action);
  bool interrupted() const noexcept { return count_.load() > 0; }

private:
  void watch();

  std::mutex mutex_;
  std::function<void()> action_;
  std::atomic<int> count_{0};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

} // namespace talaria::cli
