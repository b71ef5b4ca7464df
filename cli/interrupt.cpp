#include "cli/interrupt.hpp"

#include <csignal>
#include <cstdlib>
#include <ctime>
#include <utility>

namespace talaria::cli {

namespace {

constexpr int kInterrupted = 130; // 128 + SIGINT, as shells expect

sigset_t watched_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGUSR1); // wakes the watcher when it is no longer needed
  return set;
}

} // namespace

InterruptWatch::InterruptWatch() {
  const sigset_t set = watched_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  thread_ = std::thread([this] { watch(); });
}

InterruptWatch::~InterruptWatch() {
  stop_ = true;
  pthread_kill(thread_.native_handle(), SIGUSR1);
  thread_.join();
}

void InterruptWatch::on_interrupt(std::function<void()> action) {
  std::lock_guard lock(mutex_);
  action_ = std::move(action);
}

void InterruptWatch::watch() {
  const sigset_t set = watched_signals();
  for (;;) {
    int signal = 0;
    if (sigwait(&set, &signal) != 0) continue;
    if (stop_) return;
    if (signal == SIGUSR1) continue;
    std::lock_guard lock(mutex_);
    if (++count_ > 1 || !action_) std::_Exit(kInterrupted);
    action_();
  }
}

} // namespace talaria::cli
