#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <thread>

#include "core/file_descriptor.hpp"
#include "core/integers.hpp"

namespace talaria::cli {

/// How a file looks from outside: differs when it is another, or was written to. The same for all
/// files that are not there.
struct FileLook {
  u64 device = 0, number = 0;
  i64 bytes = 0, seconds = 0, nanoseconds = 0;

  static FileLook at(const std::filesystem::path& file);
  bool operator==(const FileLook&) const = default;
};

/// Takes SIGHUP for as long as it lives: one is kept for whoever looks later. Where standard input
/// is a terminal it takes nothing, and SIGHUP ends the process as ever. One at a time.
class HangupSignal {
public:
  /// Make it before there are other threads, which inherit that it is not theirs.
  HangupSignal();
  ~HangupSignal();
  HangupSignal(const HangupSignal&) = delete;
  HangupSignal& operator=(const HangupSignal&) = delete;

  const FileDescriptor& wake() const noexcept { return wake_; }

private:
  FileDescriptor wake_; ///< an eventfd that the signal's handler writes to
};

/// Notices that a file has changed, or that SIGHUP asks for another look. A file that is replaced
/// is noticed as well as one that is written to, and so is one behind symbolic links of which one
/// now leads elsewhere, as the files of a mounted ConfigMap.
class ReloadWatch {
public:
  /// Each change of `file` since it looked like `first`, and each SIGHUP, calls `action` on a
  /// thread of this object. A change counts when the file has looked the same twice in a row,
  /// `between` apart, so that one that is being written is read when it is complete. `hangup` must
  /// outlive this.
  ReloadWatch(const HangupSignal& hangup, std::filesystem::path file, const FileLook& first,
              std::function<void()> action,
              std::chrono::milliseconds between = std::chrono::seconds(1));
  ~ReloadWatch(); ///< waits for an action that runs
  ReloadWatch(const ReloadWatch&) = delete;
  ReloadWatch& operator=(const ReloadWatch&) = delete;

private:
  void run(const std::filesystem::path& file, FileLook acted_on,
           const std::function<void()>& action);

  const FileDescriptor& wake_;
  const std::chrono::milliseconds between_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

} // namespace talaria::cli
