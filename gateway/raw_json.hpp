#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace talaria::gateway {

/// The text of the value under `key` in the text of an object, without blanks around it; nothing if
/// there is none. For what goes into prompts: values that are parsed forget the order of their
/// fields.
/// @param object  JSON that has been parsed already; anything may come of other text
std::optional<std::string_view> raw_member(std::string_view object, std::string_view key);

/// The same JSON in one line: without the blanks between its values.
std::string compact_json(std::string_view text);

/// The texts of the values of a list; none of any other value.
std::vector<std::string_view> raw_elements(std::string_view list);

} // namespace talaria::gateway
