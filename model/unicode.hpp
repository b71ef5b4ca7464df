#pragma once

#include <string>
#include <string_view>

namespace talaria::model {

/// What the rest of the room asks of the Unicode tables (ICU); text is valid UTF-8.
namespace unicode {

/// Makes ICU overwrite every block that it frees, for it works on text of users. To be called
/// before anything else of this file; false if that is too late, and nothing has changed.
bool wipe_what_icu_frees() noexcept;

enum class NormalForm { nfc, nfd, nfkc, nfkd };
std::string normalize(std::string_view text, NormalForm form);

/// Whether no text that ends here changes what follows, and vice versa: each side of a character
/// with this property can be normalised alone.
bool is_boundary_before(char32_t c, NormalForm form);

/// Root-locale case mapping, as Python's str.upper and str.lower.
std::string upper(std::string_view text);
std::string lower(std::string_view text);

/// Property White_Space.
bool is_white_space(char32_t c) noexcept;
/// `\w` of UTS #18: alphabetic, mark, decimal number, connector punctuation, join control.
bool is_word(char32_t c) noexcept;
/// Python's str.isdigit, isdecimal, isnumeric and isalpha for one character.
bool is_digit(char32_t c) noexcept;
bool is_decimal(char32_t c) noexcept;
bool is_numeric(char32_t c) noexcept;
bool is_letter(char32_t c) noexcept;
/// General categories M* and Mn.
bool is_mark(char32_t c) noexcept;
bool is_nonspacing_mark(char32_t c) noexcept;
/// General categories Cc, Cf and Co.
bool is_control(char32_t c) noexcept;
/// str.isupper, or str.islower: letters with case, and none of another.
bool is_cased(std::string_view text, bool upper) noexcept;
/// Which version of Unicode these tables have, e.g. "15.0".
std::string version();
/// What Python's repr() leaves unescaped.
bool is_printable(char32_t c) noexcept;

} // namespace unicode

} // namespace talaria::model
