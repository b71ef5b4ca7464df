#include "config/fields.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "config/pipeline_config.hpp"
#include "config/scalars.hpp"

namespace talaria::config {
namespace {

std::string below(const std::string& parent, std::string_view key) {
  return parent.empty() ? std::string(key) : fmt::format("{}.{}", parent, key);
}

/// Scalars are pointed at themselves; anything else at its key, where the eye looks for it.
Position position_of(const YamlNode& key, const YamlNode& value) {
  return value.kind == YamlNode::Kind::scalar ? value.at : key.at;
}

std::vector<std::string_view> keys_of(const std::vector<Field>& fields) {
  std::vector<std::string_view> keys;
  for (const Field& field : fields) keys.push_back(field.key);
  return keys;
}

void refuse_unknown(const Value& mapping, const YamlNode& key,
                    const std::vector<std::string_view>& known) {
  const std::string_view meant = nearest(key.text, known);
  const std::string advice =
      meant.empty() ? "expected " + listed(known) : fmt::format("did you mean '{}'?", meant);
  mapping.problems.add(key.at, below(mapping.key, printable(key.text)), "unknown key; " + advice);
}

} // namespace

void Value::expected(std::string_view what) const {
  const std::string found =
      node.kind == YamlNode::Kind::scalar ? in_quotes(node.text) : describe(node.kind);
  refuse(fmt::format("is {}; expected {}", found, what));
}

void read_mapping(const Value& value, const std::vector<Field>& fields) {
  const std::vector<std::string_view> known = keys_of(fields);
  if (value.node.kind != YamlNode::Kind::mapping) {
    value.expected("a mapping with " + listed(known));
    return;
  }
  std::map<std::string_view, Position> seen;
  for (std::size_t i = 0; i + 1 < value.node.items.size(); i += 2) {
    const YamlNode& key = value.node.items[i];
    const YamlNode& item = value.node.items[i + 1];
    if (key.kind != YamlNode::Kind::scalar) {
      value.problems.add(
          key.at, value.key,
          fmt::format("{} as a key; expected {}", describe(key.kind), listed(known)));
      continue;
    }
    const auto [first, is_new] = seen.emplace(key.text, key.at);
    const auto field = std::find(known.begin(), known.end(), key.text);
    if (field == known.end())
      refuse_unknown(value, key, known);
    else if (!is_new)
      value.problems.add(key.at, below(value.key, key.text),
                         fmt::format("repeated; expected once, and it stands in line {} already",
                                     first->second.line));
    else
      fields[field - known.begin()].read(
          {item, below(value.key, key.text), position_of(key, item), value.problems});
  }
  for (const Field& field : fields)
    if (field.presence == Presence::required && !seen.contains(field.key))
      value.problems.add(value.at, below(value.key, field.key), "missing; it is required");
}

std::vector<Value> list_items(const Value& value) {
  std::vector<Value> items;
  if (value.node.kind != YamlNode::Kind::sequence) {
    value.expected("a list");
    return items;
  }
  for (const YamlNode& item : value.node.items)
    items.push_back(
        {item, fmt::format("{}[{}]", value.key, items.size()), item.at, value.problems});
  return items;
}

std::optional<std::string_view> scalar_text(const Value& value, std::string_view expected) {
  if (value.node.kind == YamlNode::Kind::scalar) return value.node.text;
  value.expected(expected);
  return std::nullopt;
}

ReadValue one_of(std::string& out, std::vector<std::string_view> accepted) {
  return [&out, accepted = std::move(accepted)](const Value& value) {
    const auto text = scalar_text(value, listed(accepted));
    if (!text) return;
    if (std::find(accepted.begin(), accepted.end(), *text) == accepted.end())
      value.expected(listed(accepted));
    else
      out = *text;
  };
}

ReadValue whole_within(std::function<void(u64)> store, u64 low, u64 high) {
  return [store = std::move(store), low, high](const Value& value) {
    const std::string expected = fmt::format("a whole number from {} to {}", low, high);
    const auto text = scalar_text(value, expected);
    if (!text) return;
    const auto number = value.node.is_quoted ? std::nullopt : parse_whole(*text);
    if (number && *number >= low && *number <= high)
      store(*number);
    else
      value.expected(expected + (value.node.is_quoted ? ", without quotes" : ""));
  };
}

ReadValue ratio_in(double& out) {
  return [&out](const Value& value) {
    const std::string expected = "a number above 0 and up to 1";
    const auto text = scalar_text(value, expected);
    if (!text) return;
    const auto number = value.node.is_quoted ? std::nullopt : parse_real(*text);
    if (number && *number > 0 && *number <= 1)
      out = *number;
    else
      value.expected(expected + (value.node.is_quoted ? ", without quotes" : ""));
  };
}

ReadValue bytes_in(std::size_t& out) {
  return [&out](const Value& value) {
    const std::string expected = "bytes, like 2GiB, 512MiB, 64KiB or 1000000";
    const auto text = scalar_text(value, expected);
    if (!text) return;
    if (const auto bytes = parse_bytes(*text))
      out = *bytes;
    else
      value.expected(expected);
  };
}

ReadValue bytes_or_auto_in(std::optional<std::size_t>& out) {
  return [&out](const Value& value) {
    const std::string expected = "auto, or bytes, like 2GiB, 512MiB, 64KiB or 1000000";
    const auto text = scalar_text(value, expected);
    if (!text) return;
    const auto bytes = parse_bytes(*text);
    if (bytes || *text == "auto")
      out = bytes;
    else
      value.expected(expected);
  };
}

ReadValue duration_in(std::chrono::milliseconds& out, std::chrono::milliseconds low,
                      std::chrono::milliseconds high) {
  return [&out, low, high](const Value& value) {
    const std::string expected = fmt::format("a duration from {} to {}, like 100ms, 2s, 5min or 1h",
                                             to_text(low), to_text(high));
    const auto text = scalar_text(value, expected);
    if (!text) return;
    const auto duration = parse_duration(*text);
    if (duration && *duration >= low && *duration <= high)
      out = *duration;
    else
      value.expected(expected);
  };
}

ReadValue path_in(std::filesystem::path& out, const std::filesystem::path& folder) {
  return [&out, &folder](const Value& value) {
    const auto text = scalar_text(value, "a path");
    if (!text) return;
    if (text->empty())
      value.expected("a path");
    else
      out = (folder / *text).lexically_normal();
  };
}

ReadValue listen_address_in(std::optional<std::string>& out) {
  return [&out](const Value& value) {
    const std::string expected = "HOST:PORT";
    const auto text = scalar_text(value, expected);
    if (!text) return;
    if (parse_address(*text))
      out = std::string(*text);
    else
      value.expected(expected);
  };
}

ReadValue text_in(std::string& out, bool (*accepts)(std::string_view), std::string expected) {
  return [&out, accepts, expected = std::move(expected)](const Value& value) {
    const auto text = scalar_text(value, expected);
    if (!text) return;
    if (accepts(*text))
      out = std::string(*text);
    else
      value.expected(expected);
  };
}

} // namespace talaria::config
