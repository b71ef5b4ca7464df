#include "attest/command/files.hpp"

#include <fstream>
#include <iterator>

#include <fmt/format.h>

#include "core/console.hpp"
#include "core/error.hpp"

namespace talaria::attest {

std::vector<u8> read_small_file(const std::filesystem::path& file, std::size_t most) {
  std::ifstream stream(file, std::ios::binary);
  std::vector<u8> bytes(most + 1);
  if (stream)
    stream.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!stream && !stream.eof()) throw Error(Errc::io, file.string() + ": cannot be read");
  const auto size = static_cast<std::size_t>(stream.gcount());
  if (size > most)
    throw Error(Errc::usage, fmt::format("{}: larger than {} bytes", file.string(), most));
  bytes.resize(size);
  return bytes;
}

void write_result(const std::filesystem::path& file, std::string_view content) {
  if (file.empty()) return write_out(content);
  std::ofstream stream(file, std::ios::binary | std::ios::trunc);
  stream.write(content.data(), static_cast<std::streamsize>(content.size()));
  stream.close();
  if (!stream) throw Error(Errc::io, file.string() + ": cannot be written");
}

} // namespace talaria::attest
