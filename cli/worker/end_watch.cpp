#include "cli/worker/end_watch.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <iterator>

#include "core/error.hpp"

namespace talaria::cli {

EndWatch::EndWatch(bool watch_stdin)
    : stop_(eventfd(0, EFD_CLOEXEC)), failed_(eventfd(0, EFD_CLOEXEC)) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signals_ = signalfd(-1, &set, SFD_CLOEXEC);
  if (signals_ < 0 || stop_ < 0 || failed_ < 0)
    throw Error(Errc::io, "no file descriptor is left for signals");
  thread_ = std::thread([this, watch_stdin] { watch(watch_stdin); });
}

EndWatch::~EndWatch() {
  eventfd_write(stop_, 1);
  thread_.join();
  for (const int fd : {signals_, stop_, failed_}) close(fd);
}

void EndWatch::fail(const Error& why) {
  {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = why;
  }
  eventfd_write(failed_, 1);
}

void EndWatch::now_serving() {
  const std::lock_guard lock(mutex_);
  serving_ = true;
}

void EndWatch::watch(bool watch_stdin) {
  pollfd watched[] = {{stop_, POLLIN, 0},
                      {signals_, POLLIN, 0},
                      {watch_stdin ? STDIN_FILENO : -1, POLLIN, 0},
                      {failed_, POLLIN, 0}};
  for (;;) {
    if (poll(watched, std::size(watched), -1) < 0) {
      if (errno == EINTR) continue;
      break;
    }
    if (watched[0].revents != 0) return;
    if (watched[1].revents != 0 || watched[3].revents != 0) break;
    if (watched[2].revents != 0) {
      char ignored[256];
      const ssize_t n = read(STDIN_FILENO, ignored, sizeof ignored);
      if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) break;
    }
  }
  const std::lock_guard lock(mutex_);
  if (failure_) return ended_.set_exception(std::make_exception_ptr(*failure_));
  if (!serving_) std::_Exit(130);
  ended_.set_value();
}

} // namespace talaria::cli
