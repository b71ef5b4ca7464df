#include "model/grammar/schema_merge.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <string_view>

#include "model/grammar/regex.hpp"

namespace talaria::model::grammar {

namespace {

using Json = SchemaJson;
using Refuse = std::function<void(const std::string& keyword)>;

constexpr std::size_t kMostPairs = 64; // of alternatives
constexpr int kDeepestMatch = 64;

Json list_of(const Json& value) {
  return value.is_array() ? value : Json::array({value});
}

/// Types that both allow: every integer is a number.
Json common_types(const Json& a, const Json& b) {
  Json out = Json::array();
  const auto allows = [](const Json& types, const Json& type) {
    return std::any_of(types.begin(), types.end(), [&](const Json& each) {
      return each == type || (each == "number" && type == "integer");
    });
  };
  for (const auto* each : {&a, &b})
    for (const Json& type : list_of(*each))
      if (allows(list_of(a), type) && allows(list_of(b), type) &&
          std::find(out.begin(), out.end(), type) == out.end())
        out.push_back(type);
  return out;
}

Json common_values(const Json& a, const Json& b) {
  Json out = Json::array();
  for (const Json& value : a)
    if (std::find(b.begin(), b.end(), value) != b.end()) out.push_back(value);
  return out;
}

/// With `const` as an enum of one value, and without what says nothing.
Json plain(const Json& schema) {
  Json out = Json::object();
  for (const auto& [keyword, value] : schema.items())
    if (!is_note(keyword) && keyword != "const") out[keyword] = value;
  if (schema.contains("const")) {
    const Json one = Json::array({schema["const"]});
    out["enum"] = out.contains("enum") ? common_values(out["enum"], one) : one;
  }
  return out;
}

class Merger {
public:
  explicit Merger(const Refuse& refuse) : refuse_(refuse) {}

  Json merged(const Json& left, const Json& right) const {
    if (left == false || right == false) return false;
    if (!left.is_object()) return right.is_object() ? plain(right) : Json(true);
    if (!right.is_object()) return plain(left);
    const Json a = plain(left);
    const Json b = plain(right);
    Json out = Json::object();
    for (const auto* each : {&a, &b})
      for (const auto& [keyword, value] : each->items())
        if (!out.contains(keyword)) out[keyword] = value;
    for (const auto& [keyword, value] : b.items())
      if (a.contains(keyword) && a[keyword] != value) combine(keyword, a[keyword], value, out);
    for (const char* choices : {"type", "enum"})
      if (out.contains(choices) && out[choices].empty()) return false;
    merge_members(a, b, out);
    merge_items(a, b, out);
    for (const char* unevaluated : {"unevaluatedProperties", "unevaluatedItems"})
      if (out.contains(unevaluated)) refuse_(unevaluated); // depends on who says it
    return out;
  }

private:
  void combine(const std::string& keyword, const Json& a, const Json& b, Json& out) const {
    static const std::set<std::string> greater{"minimum", "exclusiveMinimum", "minLength",
                                               "minItems", "minProperties"};
    static const std::set<std::string> smaller{"maximum", "exclusiveMaximum", "maxLength",
                                               "maxItems", "maxProperties"};
    static const std::set<std::string> by_others{"properties", "additionalProperties", "items",
                                                 "prefixItems"};
    if (by_others.contains(keyword)) return;
    if (greater.contains(keyword) || smaller.contains(keyword)) {
      if (!a.is_number() || !b.is_number()) return refuse_(keyword);
      out[keyword] = greater.contains(keyword) ? std::max(a, b) : std::min(a, b);
    } else if (keyword == "type") {
      out[keyword] = common_types(a, b);
    } else if (keyword == "enum") {
      if (!a.is_array() || !b.is_array()) return refuse_(keyword);
      out[keyword] = common_values(a, b);
    } else if (keyword == "required") {
      for (const Json& name : b)
        if (std::find(a.begin(), a.end(), name) == a.end()) out[keyword].push_back(name);
    } else if (keyword == "uniqueItems") {
      out[keyword] = a == true || b == true;
    } else if (keyword == "$ref") {
      out["allOf"].push_back(Json{{"$ref", b}});
    } else if (keyword == "allOf") {
      for (const Json& each : b) out[keyword].push_back(each);
    } else if (keyword == "anyOf" && a.size() * b.size() <= kMostPairs) {
      out[keyword] = pairs(a, b);
    } else {
      refuse_(keyword);
    }
  }

  Json pairs(const Json& a, const Json& b) const {
    Json out = Json::array();
    for (const Json& first : a)
      for (const Json& second : b) out.push_back(Json{{"allOf", Json::array({first, second})}});
    return out;
  }

  /// additionalProperties is about what its own schema does not name.
  void merge_members(const Json& a, const Json& b, Json& out) const {
    const Json of_a = a.value("properties", Json::object());
    const Json of_b = b.value("properties", Json::object());
    const Json others_of_a = a.value("additionalProperties", Json(true));
    const Json others_of_b = b.value("additionalProperties", Json(true));
    Json members = Json::object();
    for (const auto& [name, value] : of_a.items())
      members[name] = merged(value, of_b.value(name, others_of_b));
    for (const auto& [name, value] : of_b.items())
      if (!members.contains(name)) members[name] = merged(others_of_a, value);
    if (!members.empty()) out["properties"] = std::move(members);
    if (others_of_a != true || others_of_b != true)
      out["additionalProperties"] = merged(others_of_a, others_of_b);
  }

  /// `items` is about those behind prefixItems.
  void merge_items(const Json& a, const Json& b, Json& out) const {
    const Json of_a = a.value("prefixItems", Json::array());
    const Json of_b = b.value("prefixItems", Json::array());
    const Json others_of_a = a.value("items", Json(true));
    const Json others_of_b = b.value("items", Json(true));
    Json first = Json::array();
    for (std::size_t i = 0; i < std::max(of_a.size(), of_b.size()); ++i)
      first.push_back(
          merged(i < of_a.size() ? of_a[i] : others_of_a, i < of_b.size() ? of_b[i] : others_of_b));
    if (!first.empty()) out["prefixItems"] = std::move(first);
    if (others_of_a != true || others_of_b != true) out["items"] = merged(others_of_a, others_of_b);
  }

  const Refuse& refuse_;
};

bool has_type(const Json& value, const Json& type) {
  if (type.is_array())
    return std::any_of(type.begin(), type.end(),
                       [&](const Json& each) { return has_type(value, each); });
  if (type == "integer")
    return value.is_number_integer() ||
           (value.is_number() && value.get<double>() == std::floor(value.get<double>()));
  if (type == "number") return value.is_number();
  return type == value.type_name();
}

std::size_t characters_of(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<u8>(c) & 0xC0) != 0x80; }));
}

/// @throws Json::exception if `object` is none
const Json& member_or(const Json& object, const std::string& name, const Json& otherwise) {
  if (!object.is_object()) return object.at(name);
  const auto found = object.find(name);
  return found == object.end() ? otherwise : *found;
}

class Judge {
public:
  Judge(MatchCosts& costs, const SchemaResolver& resolve, const Refuse& refuse)
      : costs_(costs), resolve_(resolve), refuse_(refuse) {}

  bool matches(const Json& value, const Json& schema, int depth) const {
    if (schema.is_boolean()) return schema == true;
    if (depth > kDeepestMatch || !costs_.pay(1) || !schema.is_object()) refuse_(kSoMuchElse);
    for (const auto& [keyword, said] : schema.items())
      if (!is_note(keyword) && !holds(value, keyword, said, schema, depth)) return false;
    return true;
  }

private:
  bool holds(const Json& value, const std::string& keyword, const Json& said, const Json& schema,
             int depth) const {
    const auto count = [&] {
      return std::count_if(said.begin(), said.end(),
                           [&](const Json& each) { return matches(value, each, depth + 1); });
    };
    if (keyword == "type") return has_type(value, said);
    if (keyword == "const") return value == said;
    if (keyword == "enum") {
      if (!costs_.pay(said.size() / kComparisons)) refuse_(kSoMuchElse);
      return std::find(said.begin(), said.end(), value) != said.end();
    }
    if (keyword == "$ref") return matches(value, resolve_(said), depth + 1);
    if (keyword == "allOf") return count() == static_cast<std::ptrdiff_t>(said.size());
    if (keyword == "anyOf") return count() > 0;
    if (keyword == "oneOf") return count() == 1;
    if (keyword == "not") return !matches(value, said, depth + 1);
    if (keyword == "minimum") return !value.is_number() || value >= said;
    if (keyword == "maximum") return !value.is_number() || value <= said;
    if (keyword == "exclusiveMinimum") return !value.is_number() || value > said;
    if (keyword == "exclusiveMaximum") return !value.is_number() || value < said;
    if (keyword == "minLength" || keyword == "maxLength")
      return !value.is_string() || is_within(keyword, characters_of(value), said);
    if (keyword == "minItems" || keyword == "maxItems")
      return !value.is_array() || is_within(keyword, value.size(), said);
    if (keyword == "minProperties" || keyword == "maxProperties")
      return !value.is_object() || is_within(keyword, value.size(), said);
    if (keyword == "pattern") return !value.is_string() || matches_pattern(value, said);
    if (keyword == "required")
      return !value.is_object() || std::all_of(said.begin(), said.end(), [&](const Json& name) {
        return value.contains(name.get<std::string>());
      });
    if (keyword == "properties" || keyword == "additionalProperties")
      return !value.is_object() || members_match(value, schema, depth);
    if (keyword == "prefixItems" || keyword == "items")
      return !value.is_array() || items_match(value, schema, depth);
    refuse_(keyword);
    return false;
  }

  bool matches_pattern(const std::string& text, const std::string& pattern) const {
    const auto [known, is_new] = costs_.patterns.try_emplace(pattern);
    if (is_new) {
      known->second =
          std::make_unique<Automaton>(Rules{{parse_regex(pattern, false, plain_characters)}});
      if (!costs_.pay(known->second->places() / kPlaces)) refuse_(kSoMuchElse);
    }
    if (!costs_.pay(text.size() / kComparisons)) refuse_(kSoMuchElse);
    Automaton& automaton = *known->second;
    auto state = automaton.start();
    for (const char byte : text) {
      state = automaton.next(state, static_cast<u8>(byte));
      if (state == Automaton::kDead) return false;
    }
    return automaton.accepts(state);
  }

  static bool is_within(const std::string& keyword, std::size_t size, const Json& bound) {
    const double limit = bound.is_number() ? bound.get<double>() : -1;
    return keyword.starts_with("min") ? static_cast<double>(size) >= limit
                                      : static_cast<double>(size) <= limit;
  }

  bool members_match(const Json& value, const Json& schema, int depth) const {
    const Json& others = member_or(schema, "additionalProperties", kAny);
    const Json& named = member_or(schema, "properties", kNone);
    for (const auto& [name, member] : value.items())
      if (!matches(member, member_or(named, name, others), depth + 1)) return false;
    return true;
  }

  bool items_match(const Json& value, const Json& schema, int depth) const {
    const Json& first = member_or(schema, "prefixItems", kEmpty);
    const Json& others = member_or(schema, "items", kAny);
    for (std::size_t i = 0; i < value.size(); ++i)
      if (!matches(value[i], i < first.size() ? first[i] : others, depth + 1)) return false;
    return true;
  }

  static constexpr const char* kSoMuchElse = "const or enum beside so much else";
  static constexpr std::size_t kComparisons = 64; ///< that take as long as a step
  static constexpr std::size_t kPlaces = 16;      ///< of an automaton, the same

  const Json kAny = true, kNone = Json::object(), kEmpty = Json::array();
  MatchCosts& costs_;
  const SchemaResolver& resolve_;
  const Refuse& refuse_;
};

} // namespace

bool is_note(const std::string& keyword) {
  static const std::set<std::string> notes{
      "title",     "description", "default",          "examples",        "$schema",      "$id",
      "$comment",  "$defs",       "definitions",      "$anchor",         "deprecated",   "readOnly",
      "writeOnly", "id",          "contentMediaType", "contentEncoding", "discriminator"};
  return notes.contains(keyword);
}

Json merged_schemas(const Json& a, const Json& b, const Refuse& refuse) {
  return Merger(refuse).merged(a, b);
}

bool matches_schema(const Json& value, const Json& schema, MatchCosts& costs,
                    const SchemaResolver& resolve, const Refuse& refuse) {
  return Judge(costs, resolve, refuse).matches(value, schema, 0);
}

} // namespace talaria::model::grammar
