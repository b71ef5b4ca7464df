#pragma once

#include <string>
#include <string_view>

namespace talaria::cli {

/// The text of a file that people write, at most a byte more than 1 MiB of it: whoever parses it
/// refuses one that is larger.
/// @throws Error{io} naming the file and what was `expected` in its place.
std::string read_small_file(const std::string& file, std::string_view expected);

} // namespace talaria::cli
