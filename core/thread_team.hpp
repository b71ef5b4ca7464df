#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "core/integers.hpp"

namespace talaria {

/// A fixed team of threads for loops whose iterations are independent. The calling thread takes
/// part, so a team of 1 starts no thread at all. Results must not depend on who does which
/// iteration.
class ThreadTeam {
public:
  /// `threads` >= 1 including the caller.
  explicit ThreadTeam(std::size_t threads);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  std::size_t threads() const noexcept { return workers_.size() + 1; }
  /// CPU time of the team's own threads so far, patience included, callers not.
  double cpu_seconds() noexcept;

  /// Calls body(begin, end) on disjoint pieces of at most `grain` iterations that cover [0, count).
  /// Returns when all are done. One caller at a time: concurrent calls wait for each other.
  /// The first exception of a body is rethrown here. Afterwards the threads look for the next call
  /// for `patience` before they sleep: worth their cores if it is about to come and nobody else
  /// needs them, since waking a sleeping thread of a virtual machine takes some 50 us.
  void parallel_for(std::size_t count, std::size_t grain,
                    const std::function<void(std::size_t, std::size_t)>& body,
                    std::chrono::microseconds patience = std::chrono::microseconds(0));

  /// The same; while another caller is at work, this one does everything itself instead of waiting.
  void parallel_for_if_free(std::size_t count, std::size_t grain,
                            const std::function<void(std::size_t, std::size_t)>& body);

private:
  struct Job;
  void serve();
  void share(std::size_t count, std::size_t grain,
             const std::function<void(std::size_t, std::size_t)>& body,
             std::chrono::microseconds patience);

  std::mutex caller_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable done_;
  std::atomic<u32> posted_{0}; ///< jobs so far; changes under the mutex
  Job* job_ = nullptr;
  bool stop_ = false;
  std::vector<std::thread> workers_;
};

} // namespace talaria
