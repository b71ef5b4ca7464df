#include "gateway/one_arena.hpp"

#include <system_error>
#include <utility>

#include "core/stack_wipe.hpp"

namespace talaria::gateway {

OneArena::OneArena() : thread_([this] { serve(); }) {}

OneArena::~OneArena() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  asked_.notify_all();
  thread_.join();
}

void OneArena::run(std::function<void()> work) {
  std::packaged_task<void()> task(std::move(work));
  std::future<void> done = task.get_future();
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  asked_.notify_one();
  done.get();
}

void OneArena::serve() {
  std::unique_lock lock(mutex_);
  for (;;) {
    asked_.wait(lock, [this] { return ends_ || !tasks_.empty(); });
    if (tasks_.empty()) return;
    std::packaged_task<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    task();
    wipe_stack(); // of what a request left there, before a wait that may be long
    lock.lock();
  }
}

OneArena* OneArena::process() {
  try {
    static OneArena arena;
    return &arena;
  } catch (const std::system_error&) { // tried again by the next who asks
    return nullptr;
  }
}

} // namespace talaria::gateway
