#pragma once

#include <future>
#include <mutex>
#include <optional>
#include <thread>

#include "core/error.hpp"

namespace talaria::cli {

/// Waits for SIGINT, SIGTERM and, if asked, for standard input to close. Make it before any other
/// thread exists, so that all inherit the blocked signals.
class EndWatch {
public:
  explicit EndWatch(bool watch_stdin);
  ~EndWatch();
  EndWatch(const EndWatch&) = delete;
  EndWatch& operator=(const EndWatch&) = delete;

  /// Until this is called the process ends at once when it is asked to: while weights are being
  /// loaded there is nothing to finish.
  void now_serving();
  /// Returns when the process is asked to end. @throws the error that fail() was given.
  void wait() { ended_.get_future().get(); }
  /// Has wait() throw, and the process end, because it cannot go on. From any thread.
  void fail(const Error& why);

private:
  void watch(bool watch_stdin);

  int signals_;
  int stop_;   ///< eventfd: the watch itself is to end
  int failed_; ///< eventfd: fail() was called
  std::mutex mutex_;
  bool serving_ = false;
  std::optional<Error> failure_;
  std::promise<void> ended_;
  std::thread thread_;
};

} // namespace talaria::cli
