#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace talaria::model {

/// GPT-2's alphabet: one printable character for each of the 256 bytes.
namespace byte_level {

/// Every byte of `bytes` as its character.
std::string encode(std::string_view bytes);
/// The bytes, or nothing if a character of `text` (valid UTF-8) is not in the alphabet.
std::optional<std::string> decode(std::string_view text);

} // namespace byte_level

} // namespace talaria::model
