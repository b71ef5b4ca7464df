#pragma once

#include <cstddef>

namespace talaria {

/// How much of the stack wipe_stack() overwrites: more than the deepest call of the code that reads
/// requests and writes answers leaves behind, buffers of libraries included.
inline constexpr std::size_t kWipedStackBytes = std::size_t{128} << 10;

/// Overwrites what finished calls have left on this thread's stack below the caller. For a thread
/// that has handled a request and will wait for the next one: read buffers of libraries are arrays
/// on the stack, which no allocator wipes.
void wipe_stack() noexcept;

} // namespace talaria
