#pragma once

#include <cstddef>
#include <functional>
#include <string_view>

#include "model/grammar/characters.hpp"

namespace talaria::model::grammar {

/// A set of characters in a pattern: of ASCII, and of the others.
struct CharacterSet {
  std::bitset<128> ascii{};
  CodePoints others{};
};

/// The longest pattern that is read, in bytes.
inline constexpr std::size_t kLongestPattern = std::size_t{64} << 10;

/// How one character of a set is written, e.g. escaped in a JSON string.
using CharacterWriter = std::function<Expression(const CharacterSet&)>;

/// As they are, in UTF-8.
Expression plain_characters(const CharacterSet& set);
/// A regular expression: literals, ., classes, \\d \\w \\s and their opposites, \\xHH, \\uHHHH,
/// groups,
/// |, * + ? {m,n}, and ^ and $ at its ends. Blanks and ends of lines are those of ECMA-262 also
/// beyond ASCII.
/// @param whole   all of a text has to match; otherwise some part of it, as in JSON Schema
/// @throws Error{usage} naming what it does not know
Expression parse_regex(std::string_view pattern, bool whole, const CharacterWriter& writer);

} // namespace talaria::model::grammar
