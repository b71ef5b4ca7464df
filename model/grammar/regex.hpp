#pragma once

#include <functional>
#include <string_view>

#include "model/grammar/expression.hpp"

namespace talaria::model::grammar {

/// A set of characters in a pattern: of ASCII, and whether all others are in it too.
struct CharacterSet {
  std::bitset<128> ascii{};
  bool others = false;
};

/// How one character of a set is written, e.g. escaped in a JSON string.
using CharacterWriter = std::function<Expression(const CharacterSet&)>;

/// As they are, in UTF-8.
Expression plain_characters(const CharacterSet& set);
/// One character beyond ASCII in UTF-8, well-formed (Unicode 15, table 3-7).
Expression beyond_ascii();

/// A regular expression: literals, ., classes, \\d \\w \\s and their opposites, groups, |, * + ?
/// {m,n}, and ^ and $ at its ends.
/// @param whole   all of a text has to match; otherwise some part of it, as in JSON Schema
/// @throws Error{usage} naming what it does not know
Expression parse_regex(std::string_view pattern, bool whole, const CharacterWriter& writer);

} // namespace talaria::model::grammar
