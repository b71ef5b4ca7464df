#include "settings/reading.hpp"

#include <algorithm>
#include <vector>

#include "settings/table.hpp"

namespace talaria::settings {

namespace {

using config::Field;
using config::Presence;
using config::Value;
using config::YamlNode;

/// One reading of a file.
struct Document {
  const Reading& reading;
  const std::function<bool(const Setting&)>& is_given;
  config::PipelineConfig& config;
};

/// What `key` is called below the section `prefix`, "pool.memory"; empty if it is not below it.
std::string_view name_below(std::string_view prefix, std::string_view key) {
  if (prefix.empty()) return key;
  if (!key.starts_with(prefix) || key.size() <= prefix.size() || key[prefix.size()] != '.')
    return {};
  return key.substr(prefix.size() + 1);
}

void read_section(const Value& value, const Document& document);

Field leaf(const Setting& setting, std::string_view name, const Document& document) {
  const auto read = [&setting, &document](const Value& value) {
    read_row(setting, value, document.reading, document.config, std::string(setting.key),
             {Source::file, value.at, {}});
  };
  const bool needed = setting.is_required && !document.is_given(setting);
  return {name, read, needed ? Presence::required : Presence::optional};
}

/// A field for each key of the section, in the order of the table.
std::vector<Field> fields_of(std::string_view prefix, const Document& document) {
  std::vector<Field> fields;
  for (const Setting& setting : table()) {
    const std::string_view name = name_below(prefix, setting.key);
    if (!setting.is_in_file || name.empty()) continue;
    const std::string_view child = name.substr(0, name.find('.'));
    if (child == name)
      fields.push_back(leaf(setting, name, document));
    else if (fields.empty() || fields.back().key != child)
      fields.push_back({child, [&document](const Value& value) { read_section(value, document); }});
  }
  return fields;
}

void read_section(const Value& value, const Document& document) {
  if (!value.key.empty()) document.reading.origins.set(value.key, {Source::file, value.at, {}});
  config::read_mapping(value, fields_of(value.key, document));
}

/// "a,b" to a list with two items.
YamlNode list_of(const std::string& text) {
  YamlNode list{YamlNode::Kind::sequence, {}, {}, false, {}};
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    list.items.push_back({YamlNode::Kind::scalar, {}, text.substr(at, end - at), false, {}});
    at = end + 1;
  }
  return list;
}

/// Items of a list are pointed at where the list came from.
void place(YamlNode& node, config::Position at) {
  node.at = at;
  for (YamlNode& item : node.items) place(item, at);
}

} // namespace

void read_document(const YamlNode& root, const Reading& reading,
                   const std::function<bool(const Setting&)>& is_given,
                   config::PipelineConfig& config, config::Problems& problems) {
  read_section({root, "", {1, 1}, problems}, {reading, is_given, config});
}

void read_text(const Setting& setting, const std::string& text, const Reading& reading,
               Origin origin, config::PipelineConfig& config, config::Problems& problems) {
  YamlNode node{YamlNode::Kind::scalar, {}, text, false, {}};
  if (setting.is_list) node = list_of(text);
  place(node, origin.at);
  const Value value{node, origin.name, origin.at, problems};
  read_row(setting, value, reading, config, std::string(setting.key), std::move(origin));
}

} // namespace talaria::settings
