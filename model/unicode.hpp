#pragma once

#include <string>
#include <string_view>

namespace talaria::model {

/// What the rest of the room asks of the Unicode tables (ICU); text is valid UTF-8.
namespace unicode {

enum class NormalForm { nfc, nfd, nfkc, nfkd };
std::string normalize(std::string_view text, NormalForm form);

/// Root-locale case mapping, as Python's str.upper and str.lower.
std::string upper(std::string_view text);
std::string lower(std::string_view text);

/// Property White_Space.
bool is_white_space(char32_t c) noexcept;
/// `\w` of UTS #18: alphabetic, mark, decimal number, connector punctuation, join control.
bool is_word(char32_t c) noexcept;
/// What Python's repr() leaves unescaped.
bool is_printable(char32_t c) noexcept;

} // namespace unicode

} // namespace talaria::model
