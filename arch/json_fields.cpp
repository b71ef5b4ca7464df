#include "arch/json_fields.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "core/error.hpp"

namespace talaria {

using nlohmann::json;

namespace {

constexpr std::size_t kMaxDepth = 64;
constexpr std::size_t kMaxShown = 96;

/// Rejects what the DOM would swallow: a repeated key (the last one would win) and deep nesting.
class Guard {
public:
  explicit Guard(const std::string& file) : file_(file) {}

  bool operator()(int, json::parse_event_t event, json& parsed) {
    switch (event) {
    case json::parse_event_t::object_start:
    case json::parse_event_t::array_start:
      if (keys_.size() == kMaxDepth)
        throw Error(Errc::model,
                    fmt::format("{}: JSON nested deeper than {} levels", file_, kMaxDepth));
      keys_.emplace_back();
      break;
    case json::parse_event_t::object_end:
    case json::parse_event_t::array_end:
      keys_.pop_back();
      break;
    case json::parse_event_t::key: {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!keys_.back().insert(key).second)
        throw Error(Errc::model, fmt::format("{}: key \"{}\" appears twice in one JSON object",
                                             file_, printable(key)));
      break;
    }
    case json::parse_event_t::value:
      break;
    }
    return true;
  }

private:
  const std::string& file_;
  std::vector<std::set<std::string>> keys_;
};

std::string shown(const json& value) {
  return printable(value.dump(-1, ' ', false, json::error_handler_t::replace));
}

} // namespace

std::string printable(std::string_view text) {
  std::size_t length = std::min(text.size(), kMaxShown);
  while (length < text.size() && length > 0 && (static_cast<u8>(text[length]) & 0xc0u) == 0x80u)
    --length; // not inside a UTF-8 character
  std::string out;
  for (const char c : text.substr(0, length)) {
    const bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    out.push_back(control ? '?' : c);
  }
  if (text.size() > length) out += "...";
  return out;
}

json parse_json(std::string_view text, const std::string& file) {
  try {
    return json::parse(text.begin(), text.end(), Guard(file));
  } catch (const json::parse_error& error) {
    throw Error(Errc::model, fmt::format("{}: not valid JSON at byte {}", file, error.byte));
  } catch (const json::exception&) {
    throw Error(Errc::model, fmt::format("{}: JSON holds a number that is out of range", file));
  }
}

json parse_json_object(std::string_view text, const std::string& file) {
  json value = parse_json(text, file);
  if (!value.is_object()) throw Error(Errc::model, fmt::format("{}: expected a JSON object", file));
  return value;
}

JsonFields::JsonFields(const json& object, std::string where)
    : object_(object), where_(std::move(where)) {}

const json* JsonFields::find(const char* name) const {
  const auto at = object_.find(name);
  return at == object_.end() || at->is_null() ? nullptr : &*at;
}

bool JsonFields::present(const char* name) const {
  return object_.contains(name);
}

std::optional<u32> JsonFields::integer(const char* name, u32 low, u32 high) const {
  const json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number_unsigned() || value->get<u64>() < low || value->get<u64>() > high)
    refuse(name, fmt::format("an integer from {} to {}", low, high));
  return value->get<u32>();
}

u32 JsonFields::required_integer(const char* name, u32 low, u32 high) const {
  const auto value = integer(name, low, high);
  if (!value) refuse(name, fmt::format("an integer from {} to {}", low, high));
  return *value;
}

std::optional<float> JsonFields::number(const char* name, bool (*accept)(float),
                                        const char* expected) const {
  const json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) refuse(name, expected);
  const double wide = value->get<double>();
  if (std::fabs(wide) > 3e38 || !accept(static_cast<float>(wide))) refuse(name, expected);
  return static_cast<float>(wide);
}

std::optional<bool> JsonFields::boolean(const char* name) const {
  const json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) refuse(name, "true or false");
  return value->get<bool>();
}

std::optional<std::string> JsonFields::text(const char* name) const {
  const json* value = find(name);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) refuse(name, "a string");
  return value->get<std::string>();
}

std::vector<u32> JsonFields::ids(const char* name, u32 limit) const {
  const json* value = find(name);
  if (value == nullptr) return {};
  const auto expected = fmt::format("a token id below {} or a list of them", limit);
  std::vector<u32> out;
  const auto add = [&](const json& id) {
    if (!id.is_number_unsigned() || id.get<u64>() >= limit) refuse(name, expected);
    out.push_back(id.get<u32>());
  };
  if (!value->is_array()) {
    add(*value);
  } else {
    for (const json& id : *value) add(id);
  }
  return out;
}

void JsonFields::refuse(const char* name, const std::string& expected) const {
  const auto at = object_.find(name);
  const auto found = at == object_.end() ? std::string("missing") : "is " + shown(*at);
  throw Error(Errc::model, fmt::format("{}: {} {}; expected {}", where_, name, found, expected));
}

} // namespace talaria
