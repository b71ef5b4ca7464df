#pragma once

#include <fmt/format.h>

#include <string_view>
#include <utility>

namespace talaria {

/// Writes all of `text` to `fd`, waiting where a pipe is full or the descriptor does not block.
/// False if it cannot be written completely; errno says why.
bool write_fully(int fd, std::string_view text) noexcept;

/// A result, to standard output. Nothing is buffered: when the call returns, it has been written.
/// A reader that went away ends the process by SIGPIPE, as it does other filters.
/// @throws Error{io} if it cannot be written: a full disk, or a standard output that was closed.
void write_out(std::string_view text);

/// One line about what the program does, to standard error, with a line end appended. A line that
/// cannot be written is dropped: a full disk, or a log reader that is gone or does not read, must
/// neither end the process nor make a request wait. Safe on every thread.
void write_log(std::string_view line) noexcept;

/// write_out() of a formatted text.
template <class... Args>
void print_out(fmt::format_string<Args...> format, Args&&... args) {
  write_out(fmt::format(format, std::forward<Args>(args)...));
}

/// write_log() of a formatted line.
template <class... Args>
void print_log(fmt::format_string<Args...> format, Args&&... args) noexcept {
  try {
    write_log(fmt::format(format, std::forward<Args>(args)...));
  } catch (...) { // no memory for a line of the log
  }
}

} // namespace talaria
