#pragma once

#include <map>
#include <string>
#include <string_view>

#include "model/grammar/expression.hpp"
#include "model/grammar/regex.hpp"

namespace talaria::model::grammar {

/// None, a blank, or a line break with an indentation.
Expression json_blanks();
/// A character of a set inside a JSON string; the short escapes for those that have one.
Expression json_characters(const CharacterSet& set);
/// Any character inside a JSON string.
Expression any_json_character();
/// Any character inside a JSON string as json_characters() writes it: in one way only.
Expression plain_json_character();
/// The inside of a JSON string with these characters, written that way.
/// @param text  in UTF-8
Expression plain_json_text(std::string_view text);
/// A JSON string of what stands between its quotes.
Expression quoted_text(Expression inside);
/// `item` any number of times, or `most` times at most if that is not 0, between brackets.
Expression comma_separated(const Expression& item, char open, char close, u32 most = 0);

/// The `format`s that can be honoured, as regular expressions.
const std::map<std::string, const char*>& json_formats();

/// Rules 1 to 5 say what any value is; rule 0 is free.
enum AnyRule : std::size_t { kTop, kValue, kObject, kList, kText, kNumber, kFirstFree };
Rules rules_of_anything();

} // namespace talaria::model::grammar
