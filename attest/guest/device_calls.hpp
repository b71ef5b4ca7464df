#pragma once

#include <chrono>
#include <filesystem>
#include <functional>

namespace talaria::attest {

/// The calls by which a device file is used: all that this room asks of the kernel beside files.
/// Each gives 0 or a descriptor, or a negative errno.
struct DeviceCalls {
  std::function<int(const std::filesystem::path& device)> open;
  std::function<int(int descriptor, unsigned long request, void* argument)> control; ///< ioctl(2)
  std::function<void(int descriptor)> close;

  /// Those of the kernel.
  static DeviceCalls kernel();
};

/// Lets time pass between two attempts.
using Pause = std::function<void(std::chrono::milliseconds)>;
Pause sleeping_pause();

/// How often a platform that is busy is asked, and how long is waited first; each wait is twice the
/// one before.
struct Attempts {
  unsigned most = 8;
  std::chrono::milliseconds first_wait{5};
  Pause pause = sleeping_pause();
};

} // namespace talaria::attest
