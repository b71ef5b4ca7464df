#include "core/machine_memory.hpp"

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>

namespace talaria {
namespace {

namespace fs = std::filesystem;

/// A line of /proc/meminfo, in bytes; 0 if there is none.
std::size_t meminfo(const fs::path& root, const std::string& key) {
  std::ifstream in(root / "proc/meminfo");
  std::string word;
  while (in >> word)
    if (std::size_t kib = 0; word == key && in >> kib) return kib << 10;
  return 0;
}

/// The group that this process is in, as the path below the mount point; version 2's line is "0::".
fs::path control_group(const fs::path& root) {
  std::ifstream in(root / "proc/self/cgroup");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("0::/")) return line.substr(4);
  return {};
}

std::optional<std::size_t> number_in(const fs::path& file) {
  std::ifstream in(file);
  std::size_t bytes = 0;
  if (in >> bytes) return bytes; // "max" is none
  return std::nullopt;
}

} // namespace

std::size_t memory_of_machine(const fs::path& root) {
  std::size_t bytes = meminfo(root, "MemTotal:");
  const fs::path mount = root / "sys/fs/cgroup";
  // A group has no more than those around it.
  for (fs::path group = control_group(root);; group = group.parent_path()) {
    if (const auto limit = number_in(mount / group / "memory.max"))
      bytes = bytes == 0 ? *limit : std::min(bytes, *limit);
    if (group.empty()) return bytes;
  }
}

std::size_t available_memory(const fs::path& root) {
  return meminfo(root, "MemAvailable:");
}

std::size_t swap_of_machine(const fs::path& root) {
  return meminfo(root, "SwapTotal:");
}

} // namespace talaria
