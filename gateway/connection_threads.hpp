#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace talaria::gateway {

/// Threads that each handle one complete request at a time. One starts at once, the others when
/// they are first needed; they stay. If the system gives no more, requests wait for those there
/// are.
class ConnectionThreads {
public:
  /// Starts a thread. @throws std::system_error if the system gives none.
  using Start = std::function<std::thread(std::function<void()> work)>;

  /// @param start  another way to start threads, for tests
  /// @throws Error{io} if not even one can be started.
  explicit ConnectionThreads(std::size_t limit, Start start = {});
  ~ConnectionThreads(); ///< returns when every job has ended

  /// Returns at once. A job must not throw.
  void run(std::function<void()> job);

private:
  void work();
  void start_one();

  const std::size_t limit_;
  const Start start_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  std::size_t idle_ = 0;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

} // namespace talaria::gateway
