#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "config/yaml_tree.hpp"
#include "export/output_folder.hpp"
#include "export/yaml_writer.hpp"

namespace talaria::tests {

/// What a parser that shares nothing with the writer finds: texts stay texts, and what is not
/// quoted and a number, a truth value or nothing is one.
inline exporting::Json read_back(const config::YamlNode& node) {
  using exporting::Json;
  using Kind = config::YamlNode::Kind;
  if (node.kind == Kind::null) return nullptr;
  if (node.kind == Kind::scalar) {
    if (node.is_quoted) return node.text;
    const Json value = Json::parse(node.text, nullptr, false);
    return value.is_discarded() ? Json(node.text) : value;
  }
  Json out = node.kind == Kind::sequence ? Json::array() : Json::object();
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    if (node.kind == Kind::sequence)
      out.push_back(read_back(node.items[i]));
    else
      out[node.items[i].text] = read_back(node.items[i + 1]), ++i;
  }
  return out;
}

inline exporting::Json read_back(const std::string& text) {
  return read_back(config::parse_yaml(text, "test.yaml"));
}

/// All documents of a file.
inline std::vector<exporting::Json> documents_of(std::string_view text) {
  std::vector<exporting::Json> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find("\n---\n"), text.size());
    out.push_back(read_back(std::string(text.substr(0, end)) + "\n"));
    text.remove_prefix(std::min(end + 5, text.size()));
  }
  return out;
}

inline std::string content(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

inline bool is_yaml(const std::string& path) {
  return path.ends_with(".yaml") && path.find("chart/templates/") == path.npos;
}

inline const exporting::OutputFile* find_file(const std::vector<exporting::OutputFile>& files,
                                              std::string_view path) {
  for (const auto& file : files)
    if (file.path == path) return &file;
  return nullptr;
}

} // namespace talaria::tests
