#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace talaria {

/// Threads that any setting may ask for.
inline constexpr std::size_t kMaxThreads = 1024;

/// The processors that a list such as "0-3,8" names, in order.
/// @throws Error{usage} showing `list` if it is none.
std::vector<unsigned> parse_cores(const std::string& list);

/// Keeps the calling thread, and every thread that it or its children start from now on, on these
/// processors. Memory is then taken from their NUMA node, for Linux places pages next to whoever
/// writes them first; so call it before anything is loaded.
/// @throws Error{usage} if this machine does not let the process run on all of them.
void run_on_cores(const std::vector<unsigned>& cores);

} // namespace talaria
