#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "core/file_descriptor.hpp"

namespace talaria::launch {

/// "2026-01-02T03:04:05.678Z", now.
std::string utc_now();

/// The log of one node: FOLDER/NAME.log, one line per event with its time. The log of the run
/// before is kept as NAME.log.1; a log that grows beyond `max_bytes` is rotated the same way, so
/// that a node cannot fill the disk.
class NodeLog {
public:
  /// Makes the folder if it is missing. @throws Error{io} naming the file.
  NodeLog(const std::filesystem::path& folder, const std::string& name,
          std::size_t max_bytes = std::size_t{64} << 20);

  /// Appends "TIME SOURCE TEXT". A full disk loses lines, not the node.
  void write(std::string_view source, std::string_view text);
  const std::filesystem::path& path() const noexcept { return path_; }

private:
  void rotate();

  std::filesystem::path path_;
  std::size_t max_bytes_;
  FileDescriptor file_;
  std::size_t size_ = 0;
};

} // namespace talaria::launch
