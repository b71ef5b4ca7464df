#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace talaria::model::jinja {

/// The text between the quotes of a string literal with Python's escapes resolved; nothing if one
/// is malformed or not supported (\N{...}, surrogates).
std::optional<std::string> unescape(std::string_view body);

} // namespace talaria::model::jinja
