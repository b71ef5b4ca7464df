#pragma once

#include <span>
#include <string_view>

namespace talaria {

/// Opens /dev/null on those of descriptors 0 to 2 that are closed, so that no file or socket
/// opened later gets such a number and receives what is meant for a terminal. Reading from, or
/// writing to, a descriptor that was closed still fails. The first statement of every main().
void guard_standard_descriptors() noexcept;

/// For a program that holds secrets: no core dump, whatever limit was inherited, and no other
/// process of the same user may trace it or read its memory (PR_SET_DUMPABLE). Writing to a pipe
/// or socket whose reader is gone becomes an error instead of a signal. Before any thread starts.
void harden_process() noexcept;

/// Overwrites the values of `flags` ("--prompt") in the process's argument vector, both as
/// "--prompt TEXT" and "--prompt=TEXT", so that they no longer stand in /proc/PID/cmdline. The
/// caller has copied what it needs.
void hide_arguments(int argc, char** argv, std::span<const std::string_view> flags) noexcept;

/// Overwrites every argument after the first that does not begin with '-': positional text.
void hide_plain_arguments(int argc, char** argv) noexcept;

} // namespace talaria
