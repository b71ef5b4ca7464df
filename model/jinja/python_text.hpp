#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/integers.hpp"

namespace talaria::model::jinja {

/// What Python's str does, on valid UTF-8; positions count characters.
namespace python {

/// str.strip; `characters` null: whitespace.
std::string_view strip(std::string_view text, const std::string* characters, bool left, bool right);
/// str.split; `separator` null: runs of whitespace. No limit below 0. A given one is not empty.
std::vector<std::string> split(std::string_view text, const std::string* separator, i64 limit);
/// str.replace; no limit below 0. `from` is not empty.
std::string replace(std::string_view text, std::string_view from, std::string_view to, i64 limit);
/// Jinja's filter `title` and str.title differ at apostrophes and digits; both only for ASCII.
std::optional<std::string> title_filter(std::string_view text);
std::optional<std::string> title_method(std::string_view text);
std::optional<std::string> capitalize(std::string_view text);

} // namespace python

} // namespace talaria::model::jinja
