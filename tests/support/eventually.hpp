#pragma once

#include <chrono>
#include <functional>
#include <thread>

namespace talaria::tests {

/// Waits for a condition, far longer than it ever takes.
inline bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 6000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

} // namespace talaria::tests
