#include "core/thread_team.hpp"

#include <algorithm>
#include <atomic>
#include <exception>

namespace talaria {

struct ThreadTeam::Job {
  std::size_t count;
  std::size_t grain;
  const std::function<void(std::size_t, std::size_t)>& body;
  std::atomic<std::size_t> next{0};
  std::size_t active = 0;     // threads inside run(), guarded by the team's mutex
  std::exception_ptr failure; // guarded by `failed`
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

void ThreadTeam::serve() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stop_ || (job_ != nullptr && job_->next < job_->count); });
    if (stop_) return;
    Job* job = job_;
    ++job->active;
    lock.unlock();
    job->run();
    lock.lock();
    if (--job->active == 0) done_.notify_all();
  }
}

void ThreadTeam::parallel_for(std::size_t count, std::size_t grain,
                              const std::function<void(std::size_t, std::size_t)>& body) {
  grain = std::max<std::size_t>(grain, 1);
  if (workers_.empty() || count <= grain) {
    if (count > 0) body(0, count);
    return;
  }
  std::lock_guard one_caller(caller_);
  Job job{.count = count, .grain = grain, .body = body, .failure = nullptr, .failed = {}};
  {
    std::lock_guard lock(mutex_);
    job_ = &job;
  }
  wake_.notify_all();
  job.run();
  {
    std::unique_lock lock(mutex_);
    job_ = nullptr;
    done_.wait(lock, [&job] { return job.active == 0; });
  }
  if (job.failure) std::rethrow_exception(job.failure);
}

} // namespace talaria
