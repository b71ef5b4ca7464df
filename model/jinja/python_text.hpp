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
/// str.split, as views into `text`; `separator` null: runs of whitespace. No limit below 0. A given
/// one is not empty.
std::vector<std::string_view> split(std::string_view text, const std::string* separator, i64 limit);
/// str.rsplit, which counts its limit from the end.
std::vector<std::string_view> rsplit(std::string_view text, const std::string* separator,
                                     i64 limit);
/// str.splitlines.
std::vector<std::string_view> lines(std::string_view text, bool keep_ends);
bool is_space(char32_t c);
/// Jinja's filter `title` and str.title differ at apostrophes and digits; both only for ASCII.
std::optional<std::string> title_filter(std::string_view text);
std::optional<std::string> title_method(std::string_view text);
std::optional<std::string> capitalize(std::string_view text);

} // namespace python

} // namespace talaria::model::jinja
