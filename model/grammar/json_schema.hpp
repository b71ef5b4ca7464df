#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/grammar/expression.hpp"

namespace talaria::model::grammar {

/// Any JSON object.
Rules json_object_rules();

/// Texts whose values a JSON Schema (draft 2020-12) accepts: every one of them is valid; not every
/// valid value is among them (objects hold the properties that the schema names, in its order,
/// numbers have at most 15 digits on each side). Blanks between values are bounded.
/// @param schema  the text of a schema
/// @throws Error{usage} naming the keyword that cannot be honoured, and where it stands
Rules json_schema_rules(std::string_view schema);

/// One of the texts as it is. @throws Error{usage} for none, or texts that are too long together
Rules choice_rules(const std::vector<std::string>& texts);
/// A whole match of a regular expression (regex.hpp).
Rules regex_rules(std::string_view pattern);

/// A call of a tool.
struct CallForm {
  std::string name;
  std::string parameters; ///< the text of a schema; empty: any object
};
/// Calls of some of these: `before`{"name": NAME, "arguments": VALUES}`behind`, once or, if
/// `several`, up to 16 times with line breaks between.
Rules call_rules(const std::vector<CallForm>& calls, std::string_view before,
                 std::string_view behind, bool several);

} // namespace talaria::model::grammar
