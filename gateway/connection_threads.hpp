#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

namespace talaria::gateway {

/// Threads that each serve one connection at a time. They start when they are first needed and
/// stay.
class ConnectionThreads {
public:
  explicit ConnectionThreads(std::size_t limit) : limit_(limit) {}
  ~ConnectionThreads(); ///< returns when every job has ended

  /// Waits until a thread is free; false if none became so in time. One caller at a time.
  bool wait_for_free(std::chrono::milliseconds patience);
  /// After wait_for_free(). A job must not throw.
  void run(std::function<void()> job);

private:
  void work();

  const std::size_t limit_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::list<std::function<void()>> jobs_;
  std::size_t busy_ = 0; ///< jobs that wait or run
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

} // namespace talaria::gateway
