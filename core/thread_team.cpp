#include "core/thread_team.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>

#include "core/cpu_time.hpp"

namespace talaria {

namespace {

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

/// Looks at `done` until it is true, or patience ends. Returns whether it is.
template <class Condition>
bool spin_until(Condition done, std::chrono::microseconds patience) {
  const auto end = std::chrono::steady_clock::now() + patience;
  do {
    for (int i = 0; i < 64; ++i, relax())
      if (done()) return true;
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

} // namespace

struct ThreadTeam::Job {
  std::size_t count;
  std::size_t grain;
  const std::function<void(std::size_t, std::size_t)>& body;
  std::chrono::microseconds patience;
  std::atomic<std::size_t> next{0};
  std::atomic<std::size_t> active{0}; // threads inside run(); changes under the team's mutex
  std::exception_ptr failure;         // guarded by `failed`
  std::once_flag failed;

  void run() {
    for (;;) {
      const std::size_t begin = next.fetch_add(grain);
      if (begin >= count) return;
      try {
        body(begin, std::min(count, begin + grain));
      } catch (...) {
        std::call_once(failed, [this] { failure = std::current_exception(); });
      }
    }
  }
};

ThreadTeam::ThreadTeam(std::size_t threads) {
  for (std::size_t i = 1; i < threads; ++i) workers_.emplace_back([this] { serve(); });
}

ThreadTeam::~ThreadTeam() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (auto& worker : workers_) worker.join();
}

double ThreadTeam::cpu_seconds() noexcept {
  double sum = 0;
  for (auto& worker : workers_) sum += cpu_seconds_of(worker);
  return sum;
}

void ThreadTeam::serve() {
  u32 seen = 0;
  std::chrono::microseconds patience{0};
  const auto posted = [this, &seen] { return posted_.load() != seen; };
  for (;;) {
    spin_until(posted, patience);
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [&] { return stop_ || posted(); });
    if (stop_) return;
    seen = posted_.load();
    Job* job = job_;
    if (job == nullptr) continue; // the others have done it
    patience = job->patience;
    ++job->active;
    lock.unlock();
    job->run();
    lock.lock();
    if (--job->active == 0) done_.notify_all();
  }
}

void ThreadTeam::parallel_for(std::size_t count, std::size_t grain,
                              const std::function<void(std::size_t, std::size_t)>& body,
                              std::chrono::microseconds patience) {
  grain = std::max<std::size_t>(grain, 1);
  if (workers_.empty() || count <= grain) {
    if (count > 0) body(0, count);
    return;
  }
  const std::lock_guard one_caller(caller_);
  share(count, grain, body, patience);
}

void ThreadTeam::parallel_for_if_free(std::size_t count, std::size_t grain,
                                      const std::function<void(std::size_t, std::size_t)>& body) {
  grain = std::max<std::size_t>(grain, 1);
  const std::unique_lock one_caller(caller_, std::try_to_lock);
  if (workers_.empty() || count <= grain || !one_caller) {
    for (std::size_t begin = 0; begin < count; begin += grain)
      body(begin, std::min(count, begin + grain));
    return;
  }
  share(count, grain, body, std::chrono::microseconds(0));
}

/// Of the one caller.
void ThreadTeam::share(std::size_t count, std::size_t grain,
                       const std::function<void(std::size_t, std::size_t)>& body,
                       std::chrono::microseconds patience) {
  Job job{.count = count,
          .grain = grain,
          .body = body,
          .patience = patience,
          .failure = nullptr,
          .failed = {}};
  {
    std::lock_guard lock(mutex_);
    job_ = &job;
    ++posted_;
  }
  wake_.notify_all();
  job.run();
  {
    std::lock_guard lock(mutex_);
    job_ = nullptr; // nobody else begins
  }
  const auto idle = [&job] { return job.active.load() == 0; };
  if (!spin_until(idle, patience)) {
    std::unique_lock lock(mutex_);
    done_.wait(lock, idle);
  }
  if (job.failure) std::rethrow_exception(job.failure);
}

} // namespace talaria
