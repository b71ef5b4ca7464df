#include "core/stack_wipe.hpp"

#include "core/secret.hpp"

namespace talaria {

// Not inlined: the array must lie where finished calls had theirs, not in the caller's frame.
[[gnu::noinline]] void wipe_stack() noexcept {
  unsigned char below[kWipedStackBytes];
  wipe(below, sizeof below);
}

} // namespace talaria
