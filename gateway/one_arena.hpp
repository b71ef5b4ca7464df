#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <thread>

namespace talaria::gateway {

/// Does on one thread, one after the other, what allocates much in small pieces. The allocator
/// keeps what is freed in the arena of the thread that allocated it, and where all memory is locked
/// (as in the enclave) no page of it goes back to the system: work that any connection's thread did
/// would leave as much behind in every arena as the largest request ever took in it. Here it leaves
/// behind what all of them took at one time, which ByteBudget limits. Thread-safe.
class OneArena {
public:
  OneArena();
  ~OneArena(); ///< what was asked for is done first

  /// Waits until `work` is done. @throws what it throws
  void run(std::function<void()> work);

  /// The one of this process; null if no thread can be had for it now.
  static OneArena* process();

private:
  void serve();

  std::mutex mutex_;
  std::condition_variable asked_;
  std::deque<std::packaged_task<void()>> tasks_;
  bool ends_ = false;
  std::thread thread_;
};

} // namespace talaria::gateway
