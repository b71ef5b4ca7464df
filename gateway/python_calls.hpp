#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace talaria::gateway {

/// A list of calls as Python writes them, `[name(key=value, ...), ...]`, whose values are literals:
/// names, and arguments as the text of a JSON object. Nothing if it is anything else.
std::optional<std::vector<std::pair<std::string, std::string>>> python_calls(std::string_view text);

} // namespace talaria::gateway
