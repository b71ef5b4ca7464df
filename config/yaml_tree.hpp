#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "config/problems.hpp"

namespace talaria::config {

/// One node of a YAML document, with what yaml-cpp's own tree does not keep apart: repeated keys
/// stay repeated, and a quoted text is not a number.
struct YamlNode {
  enum class Kind { null, scalar, sequence, mapping };
  Kind kind = Kind::null;
  Position at;
  std::string text;            ///< of a scalar
  bool is_quoted = false;      ///< of a scalar
  std::vector<YamlNode> items; ///< of a sequence; of a mapping: key, value, key, value...
};

/// "a list", "a mapping"...: for messages.
const char* describe(YamlNode::Kind kind);

/// Reads exactly one document of at most 1 MiB, UTF-8, at most 16 levels deep, without aliases.
/// @throws Error{config} "file:line:column: what is wrong" for the first thing that is not so.
YamlNode parse_yaml(std::string_view text, const std::filesystem::path& file);

} // namespace talaria::config
