#include "settings/lora_modules.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "config/fields.hpp"
#include "settings/forms.hpp"

namespace talaria::settings {

namespace {

namespace fs = std::filesystem;
using config::LoraModule;
using config::Value;
using config::YamlNode;

constexpr std::size_t kMostModules = 256;
constexpr const char* kName = "1 to 256 printable ASCII characters without blanks, commas and =";

bool is_lora_name(std::string_view text) {
  constexpr std::size_t kLongest = 256;
  return !text.empty() && text.size() <= kLongest && std::ranges::all_of(text, [](char c) {
    return c > ' ' && c < '\x7f' && c != ',' && c != '=';
  });
}

bool is_key_name(std::string_view text) {
  constexpr std::size_t kLongest = 64;
  return !text.empty() && text.size() <= kLongest && std::ranges::all_of(text, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
  });
}

/// "NAME=PATH", where no name has an equals sign.
void read_pair(const Value& value, const fs::path& folder, LoraModule& out) {
  const auto text = config::scalar_text(value, "NAME=PATH, or { name, path, keys }");
  if (!text) return;
  const std::size_t equals = text->find('=');
  if (equals == std::string_view::npos || !is_lora_name(text->substr(0, equals)) ||
      equals + 1 == text->size())
    return value.expected("NAME=PATH, the path that of a PEFT folder");
  out.name = text->substr(0, equals);
  out.path = (folder / fs::path(text->substr(equals + 1))).lexically_normal();
}

void read_entry(const Value& value, const fs::path& folder, LoraModule& out) {
  if (value.node.kind != YamlNode::Kind::mapping) return read_pair(value, folder, out);
  const auto read_keys = [&](const Value& keys) {
    texts(is_key_name, "the name of a key").read(keys, folder, out.keys);
    if (keys.node.kind == YamlNode::Kind::sequence && keys.node.items.empty())
      keys.refuse("is empty, so that nobody could use the adapter; expected the names of keys, or "
                  "no keys for everybody");
  };
  config::read_mapping(
      value, {{"name", config::text_in(out.name, is_lora_name, kName), config::Presence::required},
              {"path", config::path_in(out.path, folder), config::Presence::required},
              {"keys", read_keys, config::Presence::optional}});
}

} // namespace

Form<std::vector<LoraModule>> lora_modules() {
  Form<std::vector<LoraModule>> form;
  form.type = "list";
  form.range = "each { name, path, keys } or NAME=PATH";
  form.is_list = true;
  form.read = [](const Value& value, const fs::path& folder, std::vector<LoraModule>& out) {
    const auto items = config::list_items(value);
    if (items.size() > kMostModules)
      return value.refuse(
          fmt::format("holds {} entries; expected at most {}", items.size(), kMostModules));
    std::vector<LoraModule> read;
    std::set<std::string> names;
    for (const Value& item : items) {
      read_entry(item, folder, read.emplace_back());
      if (!read.back().name.empty() && !names.insert(read.back().name).second)
        item.refuse(fmt::format("is called {}, as one before; expected a name of its own",
                                read.back().name));
    }
    out = std::move(read);
  };
  form.show = [](const std::vector<LoraModule>& modules) {
    std::vector<std::string> shown;
    for (const LoraModule& each : modules)
      shown.push_back(each.keys.empty()
                          ? fmt::format("{}={}", each.name, each.path.string())
                          : fmt::format("{{ name: {}, path: {}, keys: [{}] }}", each.name,
                                        each.path.string(), fmt::join(each.keys, ", ")));
    return shown.empty() ? std::string() : fmt::format("[{}]", fmt::join(shown, ", "));
  };
  return form;
}

} // namespace talaria::settings
