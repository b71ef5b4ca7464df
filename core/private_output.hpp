#pragma once

#include <filesystem>
#include <fstream>

namespace talaria {

/// Opens `path` for writing, emptied, for a file that tells about users' requests: a regular file
/// is readable and writable by its owner alone from its first byte on, also if it existed with
/// other permissions. A failed stream if it cannot be opened.
std::ofstream open_private(const std::filesystem::path& path);

} // namespace talaria
