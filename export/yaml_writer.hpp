#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace talaria::exporting {

/// A document on its way into a file: mappings keep the order in which their keys were added.
using Json = nlohmann::ordered_json;

/// `document` as block-style YAML 1.2 that a YAML 1.1 reader understands alike: two spaces per
/// level, every string that could be read as anything else in double quotes, texts of several lines
/// as literal blocks where nothing is lost by it. Mapping keys that begin with '#' are no keys:
/// their text becomes comment lines in front of the next key.
/// @throws Error{internal} for a string that is not UTF-8 and a number that is not finite.
std::string to_yaml(const Json& document);

/// Several documents of one file, "---" between them.
std::string to_yaml_stream(const std::vector<Json>& documents);

/// Whether YAML 1.1 and 1.2 both read `text`, unquoted and in block style, as just this string.
bool is_plain_string(std::string_view text);

/// `text` as a YAML scalar on one line.
std::string yaml_scalar(std::string_view text);

/// `#` lines of at most 100 columns.
std::string comment_lines(std::string_view text, std::string_view indent);

} // namespace talaria::exporting
