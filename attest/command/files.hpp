#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "core/integers.hpp"

namespace talaria::attest {

/// The whole of a file. @throws Error{io} if it cannot be read, Error{usage} if it has more than
/// `most` bytes.
std::vector<u8> read_small_file(const std::filesystem::path& file, std::size_t most);

/// To `file`, or to standard output if that is empty. @throws Error{io}.
void write_result(const std::filesystem::path& file, std::string_view content);

} // namespace talaria::attest
