#pragma once

#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/file_descriptor.hpp"
#include "core/integers.hpp"

namespace talaria::tests {

/// Counts by the kernel's own reports how often each file of a folder was opened.
class OpenCounter {
public:
  explicit OpenCounter(const std::filesystem::path& folder)
      : events_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
    // Closing is asked for too, as two equal events in a row would be told as one.
    if (!events_ || ::inotify_add_watch(events_.get(), folder.c_str(), IN_OPEN | IN_CLOSE) < 0)
      throw std::runtime_error("cannot watch " + folder.string());
  }

  /// Since the last call, by name.
  std::map<std::string, int> opened() const {
    std::map<std::string, int> counts;
    alignas(inotify_event) std::array<char, 16384> buffer;
    for (;;) {
      const ssize_t got = ::read(events_.get(), buffer.data(), buffer.size());
      if (got <= 0) return counts;
      for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
        const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
        if ((event->mask & IN_OPEN) != 0 && event->len > 0) ++counts[event->name];
        at += sizeof(inotify_event) + event->len;
      }
    }
  }

private:
  FileDescriptor events_;
};

/// Lines of /proc/self/maps that name `folder` or something in it.
inline std::vector<std::string> mappings_of(const std::filesystem::path& folder) {
  std::vector<std::string> found;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);)
    if (line.find(folder.string()) != std::string::npos) found.push_back(line);
  return found;
}

/// Overwrites bytes of a file in its place: same file, same size, same name.
inline void overwrite(const std::filesystem::path& path, u64 offset, const std::string& bytes) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(static_cast<std::streamoff>(offset));
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!file) throw std::runtime_error("cannot write " + path.string());
}

} // namespace talaria::tests
