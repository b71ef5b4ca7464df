#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace talaria::exporting {

/// A file of an export: its path below the folder, with '/' between, and what it says.
struct OutputFile {
  std::string path;
  std::string text;
  bool is_executable = false;
};

/// Names the folders that this program wrote, so that it replaces no other.
inline constexpr const char* kMarkerFile = ".talaria-export";

/// Writes `files` and a marker into `folder`, which must not be there or be empty; with `replace`,
/// a folder that an export made is replaced as a whole. Everything is written and synchronised
/// beside it first, then put in place by one renaming: `folder` is never there by halves, and what
/// goes wrong leaves it as it was.
/// @throws Error{usage} for a folder that has files already (`replace` would not help if no export
/// made it); Error{io} naming the file that cannot be written.
void write_output(const std::filesystem::path& folder, const std::vector<OutputFile>& files,
                  bool replace);

} // namespace talaria::exporting
