#include "cli/reload_watch.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

namespace talaria::cli {

namespace {

std::atomic<int> g_wake{-1};

void on_hangup(int) {
  const int before = errno;
  const int fd = g_wake.load();
  const eventfd_t one = 1;
  if (fd >= 0) [[maybe_unused]]
    const auto ignored = ::write(fd, &one, sizeof one);
  errno = before;
}

/// Whether the calling thread, and those that it starts, may be interrupted by the signal.
void mask_hangup(int how) {
  sigset_t hangup;
  sigemptyset(&hangup);
  sigaddset(&hangup, SIGHUP);
  pthread_sigmask(how, &hangup, nullptr);
}

} // namespace

FileLook FileLook::at(const std::filesystem::path& file) {
  struct stat found {};
  if (file.empty() || ::stat(file.c_str(), &found) != 0) return {};
  return {found.st_dev, found.st_ino, found.st_size, found.st_mtim.tv_sec, found.st_mtim.tv_nsec};
}

HangupSignal::HangupSignal() : wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (::isatty(STDIN_FILENO) == 1) return;
  g_wake = wake_.get();
  struct sigaction action {};
  action.sa_handler = on_hangup;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGHUP, &action, nullptr);
  mask_hangup(SIG_BLOCK);
}

/// The handler stays, and does nothing: a late SIGHUP must not end a process that is ending.
HangupSignal::~HangupSignal() {
  g_wake = -1;
}

ReloadWatch::ReloadWatch(const HangupSignal& hangup, std::filesystem::path file,
                         const FileLook& first, std::function<void()> action,
                         std::chrono::milliseconds between)
    : wake_(hangup.wake()), between_(between),
      thread_([this, file = std::move(file), first, action = std::move(action)] {
        run(file, first, action);
      }) {}

ReloadWatch::~ReloadWatch() {
  stop_ = true;
  ::eventfd_write(wake_.get(), 1);
  thread_.join();
}

void ReloadWatch::run(const std::filesystem::path& file, FileLook acted_on,
                      const std::function<void()>& action) {
  mask_hangup(SIG_UNBLOCK); // it is taken here, also one that has waited
  FileLook last = acted_on;
  while (!stop_) {
    pollfd waiting{wake_.get(), POLLIN, 0};
    ::poll(&waiting, 1, static_cast<int>(between_.count()));
    if (stop_) return;
    eventfd_t count = 0;
    const bool signalled = ::eventfd_read(wake_.get(), &count) == 0;
    const FileLook now = FileLook::at(file);
    const bool has_settled = now == last && now != acted_on && now != FileLook{};
    last = now;
    if (!signalled && !has_settled) continue;
    acted_on = now;
    action();
  }
}

} // namespace talaria::cli
