#include "cli/interrupt.hpp"

#include <csignal>
#include <cstdlib>
#include <ctime>
#include <string_view>
#include <unistd.h>
#include <utility>

namespace talaria::cli {

namespace {

constexpr int kInterrupted = 130; // 128 + SIGINT, as shells expect
constexpr int kStuck = 70;        // as for every other internal error

sigset_t watched_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGUSR1); // wakes the watcher when it is no longer needed
  return set;
}

[[noreturn]] void end_stuck() {
  constexpr std::string_view kLine = "talaria: it does not end; the process is ended without it\n";
  [[maybe_unused]] const auto ignored = ::write(STDERR_FILENO, kLine.data(), kLine.size());
  std::_Exit(kStuck);
}

} // namespace

InterruptWatch::InterruptWatch(std::chrono::milliseconds to_end) : to_end_(to_end) {
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

void InterruptWatch::on_each(std::function<bool(int signal)> action) {
  std::lock_guard lock(mutex_);
  each_ = std::move(action);
}

/// The next of the signals, or 0 when the time to end is over.
int InterruptWatch::next_signal() {
  const sigset_t set = watched_signals();
  if (count_ == 0) {
    int signal = 0;
    return sigwait(&set, &signal) == 0 ? signal : SIGUSR1;
  }
  using namespace std::chrono;
  const auto left = duration_cast<nanoseconds>(deadline_ - steady_clock::now());
  if (left.count() <= 0) return 0;
  const auto whole = duration_cast<seconds>(left);
  const timespec wait{whole.count(), (left - whole).count()};
  const int signal = sigtimedwait(&set, nullptr, &wait);
  return signal > 0 ? signal : SIGUSR1; // interrupted, or time to look at the clock
}

void InterruptWatch::watch() {
  for (;;) {
    const int signal = next_signal();
    if (stop_) return;
    if (signal == 0) end_stuck();
    if (signal == SIGUSR1) continue;
    std::lock_guard lock(mutex_);
    if (each_ && each_(signal)) continue;
    if (++count_ > 1 || !action_) std::_Exit(kInterrupted);
    deadline_ = std::chrono::steady_clock::now() + to_end_;
    action_();
  }
}

} // namespace talaria::cli
