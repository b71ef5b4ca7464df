#pragma once

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>

#include "core/error.hpp"
#include "core/file_descriptor.hpp"
#include "core/integers.hpp"

namespace talaria::cli {

/// Ends a wait for a file descriptor, from another thread. Stays set until clear().
class Wake {
public:
  /// @throws Error{internal} if the process is out of descriptors.
  Wake() : event_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    if (!event_) throw Error(Errc::internal, "no descriptor for an event; allow more (ulimit -n)");
  }

  /// Thread-safe.
  void set() noexcept {
    const u64 one = 1;
    [[maybe_unused]] const auto written = ::write(event_.get(), &one, sizeof one);
  }
  void clear() noexcept {
    u64 ignored = 0;
    [[maybe_unused]] const auto count = ::read(event_.get(), &ignored, sizeof ignored);
  }

  enum class Got { ready, woken, timeout };
  /// Waits until `fd` is ready for `events` (poll(2)). A wake comes first.
  /// @param milliseconds  at most; -1: without end
  Got wait(int fd, short events, int milliseconds = -1) const noexcept {
    pollfd waiting[2] = {{event_.get(), POLLIN, 0}, {fd, events, 0}};
    int count = 0;
    do count = ::poll(waiting, 2, milliseconds);
    while (count < 0 && errno == EINTR);
    if (waiting[0].revents != 0) return Got::woken;
    return count == 0 ? Got::timeout : Got::ready;
  }

private:
  FileDescriptor event_;
};

} // namespace talaria::cli
