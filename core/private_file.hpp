#pragma once

#include <filesystem>
#include <string_view>

namespace talaria {

/// Writes `content` to a new file beside `path`, mode 0600, and gives it that name: whoever opens
/// `path` finds the old content or the new one, whole, even after the machine has failed.
/// @throws Error{io} naming the file; then `path` is as it was.
void replace_private_file(const std::filesystem::path& path, std::string_view content);

/// The same for figures that other users read and that are soon written again: mode 0644, and after
/// a failure of the machine the old content may be there, or none. A link that somebody has put
/// into the folder is not followed.
/// @throws Error{io} as above.
void replace_public_file(const std::filesystem::path& path, std::string_view content);

} // namespace talaria
