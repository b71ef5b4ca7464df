#include "gateway/connection_threads.hpp"

#include <utility>

namespace talaria::gateway {

ConnectionThreads::~ConnectionThreads() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    changed_.notify_all();
  }
  for (auto& thread : threads_) thread.join();
}

bool ConnectionThreads::wait_for_free(std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, patience, [this] { return busy_ < limit_; });
}

void ConnectionThreads::run(std::function<void()> job) {
  const std::lock_guard lock(mutex_);
  if (busy_ == threads_.size()) threads_.emplace_back([this] { work(); });
  ++busy_;
  jobs_.push_back(std::move(job));
  changed_.notify_all();
}

void ConnectionThreads::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return !jobs_.empty() || ending_; });
    if (jobs_.empty()) return;
    const auto job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    lock.lock();
    --busy_;
    changed_.notify_all();
  }
}

} // namespace talaria::gateway
