#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "attest/evidence/bytes.hpp"

namespace talaria::attest {

/// Collateral in files by the names of Bundle, below a folder of its owner. What lies there is
/// trusted for nothing: a wrong file can only make evidence fail. Files are replaced as a whole, so
/// that processes may share the folder.
class CollateralFolder {
public:
  /// Makes the folder, readable by its owner alone, when the first file is written.
  explicit CollateralFolder(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// $XDG_CACHE_HOME/talaria/collateral or ~/.cache/talaria/collateral; empty if neither is known.
  static std::filesystem::path usual();

  /// The file of that name, of at most 1 MiB; nothing if there is none, or it cannot be read.
  std::optional<std::vector<u8>> read(const std::string& place) const;
  /// @throws Error{io}
  void write(const std::string& place, Bytes content) const;
  /// Makes the folder if it is not there. @throws Error{io} naming it if nothing can be written
  /// there.
  void check_writable() const;

private:
  void make(const std::filesystem::path& folder) const;

  const std::filesystem::path folder_;
};

} // namespace talaria::attest
