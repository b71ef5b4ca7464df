#include "model/grammar/schema_merge.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <string_view>
#include <utility>

#include "core/integers.hpp"
#include "model/grammar/schema_logic.hpp"

namespace talaria::model::grammar {

namespace {

using Json = SchemaJson;
using Refuse = std::function<void(const std::string& keyword)>;

constexpr std::size_t kMostPairs = 64; // of alternatives
constexpr u64 kLargestMultiple = 1'000'000'000;

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
    if (std::any_of(b.begin(), b.end(), [&](const Json& each) { return same_value(each, value); }))
      out.push_back(value);
  return out;
}

/// With `const` as an enum of one value, and without what says nothing.
Json plain(const Json& schema) {
  Json out = Json::object();
  for (const auto& [keyword, value] : schema.items())
    if (!is_note(keyword) && keyword != "const") out[keyword] = value;
  if (!schema.contains("if"))
    for (const char* without : {"then", "else"}) out.erase(without);
  if (!schema.contains("contains"))
    for (const char* without : {"minContains", "maxContains"}) out.erase(without);
  else if (!schema.contains("minContains"))
    out["minContains"] = 1;
  if (schema.contains("const")) {
    const Json one = Json::array({schema["const"]});
    out["enum"] = out.contains("enum") ? common_values(out["enum"], one) : one;
  }
  return out;
}

class Merger {
public:
  Merger(MatchCosts& costs, const Refuse& refuse) : costs_(costs), refuse_(refuse) {}

  Json merged(const Json& left, const Json& right) const {
    if (left == false || right == false) return false;
    if (!left.is_object()) return right.is_object() ? plain(right) : Json(true);
    if (!right.is_object()) return plain(left);
    const Json a = plain(left);
    Json b = plain(right);
    Json out = Json::object();
    if (a.contains("if") && b.contains("if")) set_aside(b, {"if", "then", "else"}, out);
    for (const char* keyword : {"oneOf", "dependentRequired", "dependentSchemas"})
      if (a.contains(keyword) && b.contains(keyword)) set_aside(b, {keyword}, out);
    for (const Json* each : {&a, &std::as_const(b)})
      for (const auto& [keyword, value] : each->items())
        if (keyword == "allOf" && value.is_array())
          for (const Json& part : value) add_part(part, out);
        else if (!out.contains(keyword))
          out[keyword] = value;
    for (const auto& [keyword, value] : b.items())
      if (keyword != "allOf" && a.contains(keyword) && a[keyword] != value)
        combine(keyword, a[keyword], value, out);
    for (const char* choices : {"type", "enum"})
      if (out.contains(choices) && out[choices].empty()) return false;
    merge_members(a, b, out);
    merge_items(a, b, out);
    for (const char* unevaluated : {"unevaluatedProperties", "unevaluatedItems"})
      if (out.contains(unevaluated)) refuse_(unevaluated); // depends on who says it
    return out;
  }

private:
  /// Keywords that belong together become a part of their own, which is merged later.
  static void set_aside(Json& from, std::initializer_list<const char*> keywords, Json& out) {
    Json part = Json::object();
    for (const char* keyword : keywords)
      if (from.contains(keyword)) {
        part[keyword] = from[keyword];
        from.erase(keyword);
      }
    out["allOf"].push_back(std::move(part));
  }
  static void add_part(const Json& part, Json& out) {
    Json& parts = out["allOf"];
    if (std::find(parts.begin(), parts.end(), part) == parts.end()) parts.push_back(part);
  }

  void combine(const std::string& keyword, const Json& a, const Json& b, Json& out) const {
    static const std::set<std::string> greater{"minimum",  "exclusiveMinimum", "minLength",
                                               "minItems", "minProperties",    "minContains"};
    static const std::set<std::string> smaller{"maximum",  "exclusiveMaximum", "maxLength",
                                               "maxItems", "maxProperties",    "maxContains"};
    static const std::set<std::string> by_others{"properties", "additionalProperties", "items",
                                                 "prefixItems", "patternProperties"};
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
    } else if (keyword == "not") {
      out[keyword] = Json{{"anyOf", Json::array({a, b})}};
    } else if (keyword == "pattern") {
      out[kPatterns].push_back(b);
    } else if (keyword == kNotEnum || keyword == kNotPatterns || keyword == kPatterns) {
      for (const Json& each : b) out[keyword].push_back(each);
    } else if (keyword == "multipleOf") {
      out[keyword] = common_multiple(a, b);
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

  Json common_multiple(const Json& a, const Json& b) const {
    const auto whole = [&](const Json& value) -> u64 {
      const double number = value.is_number() ? value.get<double>() : 0;
      if (number < 1 || number != std::floor(number) || number > kLargestMultiple)
        refuse_("multipleOf twice, one of them no whole number");
      return static_cast<u64>(number);
    };
    return std::lcm(whole(a), whole(b));
  }

  /// What a schema says of a member beside its patterns, which stay patterns.
  Json said_of(const Json& schema, const std::string& name) const {
    const Json named = schema.value("properties", Json::object());
    if (named.contains(name)) return named[name];
    const Json patterns = schema.value("patternProperties", Json::object());
    for (const auto& [pattern, value] : patterns.items())
      if (matches_pattern(name, pattern, costs_, refuse_)) return true;
    return schema.value("additionalProperties", Json(true));
  }

  /// A name that only one of them has a pattern for is another member of the other one.
  Json merged_patterns(const Json& a, const Json& b) const {
    const Json of_a = a.value("patternProperties", Json::object());
    const Json of_b = b.value("patternProperties", Json::object());
    const Json others_of_a = a.value("additionalProperties", Json(true));
    const Json others_of_b = b.value("additionalProperties", Json(true));
    if (!of_a.empty() && !of_b.empty() && of_a != of_b &&
        (others_of_a != true || others_of_b != true))
      refuse_("patternProperties of several schemas beside additionalProperties");
    Json out = Json::object();
    for (const auto& [pattern, value] : of_a.items())
      out[pattern] = merged(value, of_b.value(pattern, of_b.empty() ? others_of_b : Json(true)));
    for (const auto& [pattern, value] : of_b.items())
      if (!out.contains(pattern))
        out[pattern] = merged(value, of_a.empty() ? others_of_a : Json(true));
    return out;
  }

  /// additionalProperties is about what its own schema does not name.
  void merge_members(const Json& a, const Json& b, Json& out) const {
    const Json of_a = a.value("properties", Json::object());
    const Json of_b = b.value("properties", Json::object());
    const Json others_of_a = a.value("additionalProperties", Json(true));
    const Json others_of_b = b.value("additionalProperties", Json(true));
    Json members = Json::object();
    for (const auto* each : {&of_a, &of_b})
      for (const auto& [name, value] : each->items())
        if (!members.contains(name)) members[name] = merged(said_of(a, name), said_of(b, name));
    Json patterns = merged_patterns(a, b);
    if (!patterns.empty()) out["patternProperties"] = std::move(patterns);
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

  MatchCosts& costs_;
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

Json merged_schemas(const Json& a, const Json& b, MatchCosts& costs, const Refuse& refuse) {
  return Merger(costs, refuse).merged(a, b);
}

} // namespace talaria::model::grammar
