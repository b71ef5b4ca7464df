#pragma once

#include <span>

#include "core/integers.hpp"

namespace talaria {

/// Bytes of getrandom(2), of this very moment: no generator of this process stands between, which a
/// fork, a snapshot or a clone of the machine would copy. The kernel's own is seeded anew when a
/// virtual machine tells it that it was cloned (vmgenid). Waits until it has been seeded once.
/// @throws Error{internal} if the system yields none.
void kernel_random(std::span<u8> out);

/// A number that is another one in a forked child than in its parent, however it was forked, and
/// stays the same within a process: never 0. What was drawn, or keyed, under another number belongs
/// to another process. A load from memory.
u64 process_epoch();

} // namespace talaria
