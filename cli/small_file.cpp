#include "cli/small_file.hpp"

#include <filesystem>
#include <fstream>
#include <system_error>

#include "core/error.hpp"

namespace talaria::cli {

std::string read_small_file(const std::string& file, std::string_view expected) {
  constexpr std::streamsize kMost = (std::streamsize{1} << 20) + 1;
  std::ifstream stream(file, std::ios::binary);
  std::error_code ignored;
  std::string text(static_cast<std::size_t>(kMost), '\0');
  stream.read(text.data(), kMost);
  if (std::filesystem::is_directory(file, ignored) || stream.bad() || !stream.is_open())
    throw Error(Errc::io, file + ": cannot be read; expected " + std::string(expected));
  text.resize(static_cast<std::size_t>(stream.gcount()));
  return text;
}

} // namespace talaria::cli
