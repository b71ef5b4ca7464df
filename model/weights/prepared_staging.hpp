#pragma once

#include <filesystem>

namespace talaria::model {

/// OUT.partial while OUT is being made: locked against a second writer, removed with this object
/// unless published, and taken over if a killed process left one behind.
class StagingFolder {
public:
  /// @throws Error{usage} if another process is writing it, Error{io} if it cannot be made.
  explicit StagingFolder(const std::filesystem::path& out);
  StagingFolder(const StagingFolder&) = delete;
  StagingFolder& operator=(const StagingFolder&) = delete;
  ~StagingFolder();

  const std::filesystem::path& path() const noexcept { return partial_; }
  /// Renames it to OUT; an OUT that is there is replaced. @throws Error{io}
  void publish();

private:
  std::filesystem::path out_;
  std::filesystem::path partial_;
  int lock_ = -1;
  bool published_ = false;
};

} // namespace talaria::model
