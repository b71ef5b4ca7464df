#pragma once

#include <filesystem>
#include <string_view>

namespace talaria {

/// Writes `content` to a new file beside `path`, mode 0600, and gives it that name: whoever opens
/// `path` finds the old content or the new one, whole, even after the machine has failed.
/// @throws Error{io} naming the file; then `path` is as it was.
void replace_private_file(const std::filesystem::path& path, std::string_view content);

} // namespace talaria
