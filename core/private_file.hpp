#pragma once

#include <filesystem>
#include <string_view>

namespace talaria {

/// Writes `content` to a new file beside `path`, mode 0600, and gives it that name: whoever opens
/// `path` finds the old content or the new one, whole, even after the machine has failed.
/// A device, a pipe of this user, /dev/stdout and other names of open descriptors stay what they
/// are, and get `content` (a pipe: once somebody reads it). A link is replaced, not followed.
/// @throws Error{io} naming the file; then a file at `path` is as it was. Also for a folder, a
/// socket, a disk and a pipe of another user.
void replace_private_file(const std::filesystem::path& path, std::string_view content);

/// The same for figures that other users read and that are soon written again: mode 0644, and after
/// a failure of the machine the old content may be there, or none.
/// @throws Error{io} as above.
void replace_public_file(const std::filesystem::path& path, std::string_view content);

} // namespace talaria
