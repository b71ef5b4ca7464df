#include "gateway/connection_threads.hpp"

#include <fmt/format.h>

#include <system_error>
#include <utility>

#include "core/error.hpp"
#include "core/stack_wipe.hpp"

namespace talaria::gateway {

ConnectionThreads::ConnectionThreads(std::size_t limit, Start start)
    : limit_(limit), start_(std::move(start)) {
  threads_.reserve(limit);
  const std::lock_guard lock(mutex_);
  try {
    start_one();
  } catch (const std::system_error& error) {
    throw Error(Errc::io, fmt::format("no thread can be started: {}; allow more of them (ulimit "
                                      "-u, TasksMax)",
                                      error.code().message()));
  }
}

ConnectionThreads::~ConnectionThreads() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    changed_.notify_all();
  }
  for (auto& thread : threads_) thread.join();
}

void ConnectionThreads::start_one() {
  threads_.push_back(start_ ? start_([this] { work(); }) : std::thread([this] { work(); }));
}

void ConnectionThreads::run(std::function<void()> job) {
  const std::lock_guard lock(mutex_);
  jobs_.push_back(std::move(job));
  changed_.notify_one();
  if (idle_ >= jobs_.size() || threads_.size() >= limit_) return;
  try {
    start_one();
  } catch (const std::system_error&) { // as many as the system gives: the job waits for one of them
  }
}

void ConnectionThreads::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    changed_.wait(lock, [this] { return !jobs_.empty() || ending_; });
    --idle_;
    if (jobs_.empty()) return;
    const auto job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    wipe_stack(); // of what the request left there, before a wait that may be long
    lock.lock();
  }
}

} // namespace talaria::gateway
