#include "core/console.hpp"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <mutex>
#include <string>

#include "core/error.hpp"

namespace talaria {

namespace {

constexpr int kForever = -1;
constexpr int kPatienceMs = 1000; ///< for a reader of the log that has fallen behind

bool wait_until_writable(int fd, int timeout_ms) noexcept {
  pollfd waiting{fd, POLLOUT, 0};
  int ready = 0;
  while ((ready = ::poll(&waiting, 1, timeout_ms)) < 0 && errno == EINTR) {
  }
  return ready > 0;
}

/// Lines that were dropped while nobody read the log, and whether to wait for the next one.
struct LogState {
  std::mutex mutex;
  std::size_t dropped = 0;
};

LogState& log_state() noexcept {
  // Never destroyed: threads may log while statics are. Without memory for it there is nothing left
  // to do but to end, which is what an exception does here.
  static auto* const state = new LogState; // NOLINT(bugprone-unhandled-exception-at-new)
  return *state;
}

} // namespace

bool write_fully(int fd, std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written > 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (written < 0 && errno == EAGAIN) {
      if (!wait_until_writable(fd, kForever)) return false;
    } else if (written == 0 || errno != EINTR) {
      return false;
    }
  }
  return true;
}

void write_out(std::string_view text) {
  if (write_fully(STDOUT_FILENO, text)) return;
  const int why = errno;
  if (why == EPIPE) {
    std::signal(SIGPIPE, SIG_DFL);
    std::raise(SIGPIPE);
  }
  throw Error(Errc::io, std::string("standard output cannot be written: ") + std::strerror(why) +
                            "; the result is incomplete");
}

void write_log(std::string_view line) noexcept {
  try {
    LogState& state = log_state();
    const std::lock_guard lock(state.mutex);
    std::string text;
    if (state.dropped > 0)
      text = "talaria: " + std::to_string(state.dropped) + " lines could not be written here\n";
    text.append(line).push_back('\n');
    // A full pipe is waited for once; after that, lines are dropped until it is read again. What
    // fits into the pipe's free page is written without blocking.
    const bool can_write = wait_until_writable(STDERR_FILENO, state.dropped > 0 ? 0 : kPatienceMs);
    state.dropped = can_write && write_fully(STDERR_FILENO, text) ? 0 : state.dropped + 1;
  } catch (...) { // no memory for the line
  }
}

} // namespace talaria
