#include "attest/guest/device_calls.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <thread>
#include <unistd.h>

namespace talaria::attest {

DeviceCalls DeviceCalls::kernel() {
  DeviceCalls calls;
  calls.open = [](const std::filesystem::path& device) {
    const int descriptor = ::open(device.c_str(), O_RDWR | O_CLOEXEC);
    return descriptor < 0 ? -errno : descriptor;
  };
  calls.control = [](int descriptor, unsigned long request, void* argument) {
    const int result = ::ioctl(descriptor, request, argument);
    return result < 0 ? -errno : result;
  };
  calls.close = [](int descriptor) { ::close(descriptor); };
  return calls;
}

Pause sleeping_pause() {
  return [](std::chrono::milliseconds time) { std::this_thread::sleep_for(time); };
}

} // namespace talaria::attest
