#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace talaria::model::utf8 {

/// One step through UTF-8 text.
struct Step {
  char32_t code_point = 0; ///< meaningless unless `valid`
  std::size_t length = 0;  ///< bytes of the character, or of the maximal ill-formed subsequence
  bool valid = false;
  bool truncated = false; ///< ill-formed only because the text ends: more bytes could complete it
};

/// What stands at `text[at]`; `at` must be less than text.size().
Step step(std::string_view text, std::size_t at) noexcept;

/// Appends the UTF-8 of `code_point`, which must be a Unicode scalar value.
void append(std::string& out, char32_t code_point);

/// Number of characters of valid UTF-8.
std::size_t length(std::string_view text) noexcept;

/// The code points of valid UTF-8.
std::u32string to_code_points(std::string_view text);
std::string from_code_points(std::u32string_view code_points);

} // namespace talaria::model::utf8
