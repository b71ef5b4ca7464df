#pragma once

#include <chrono>

#include "core/integers.hpp"

namespace talaria {

/// ns since 1970 on this machine's clock, which may be set while we run: for logs and traces, never
/// for deadlines.
inline i64 wall_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

} // namespace talaria
