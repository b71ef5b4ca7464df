#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "core/integers.hpp"
#include "model/grammar/schema_logic.hpp"

namespace talaria::model::grammar {

namespace {

using NotJson = SchemaJson;

/// Keywords that say something only beside the one that they belong to.
const char* owner_of(const std::string& keyword) {
  if (keyword == "then" || keyword == "else") return "if";
  if (keyword == "minContains" || keyword == "maxContains") return "contains";
  return nullptr;
}

/// What a value can be instead, keyword by keyword: it misses one of them.
class Negation {
public:
  Negation(const NotJson& schema, const SchemaScope& scope) : schema_(schema), scope_(scope) {}

  NotJson result() {
    for (const auto& [keyword, said] : schema_.items()) {
      if (keyword == "$id") scope_.refuse("$id inside a document");
      const char* owner = owner_of(keyword);
      if (is_note(keyword) || (owner != nullptr && !schema_.contains(owner))) continue;
      if (!of_values(keyword, said) && !of_bounds(keyword, said) && !of_members(keyword, said) &&
          !of_parts(keyword, said))
        scope_.refuse("not around " + keyword);
    }
    if (ways_.empty()) return false;
    if (ways_.size() == 1) return ways_.front();
    return NotJson{{"anyOf", ways_}};
  }

private:
  void add(NotJson way) { ways_.push_back(std::move(way)); }
  static NotJson opposite(const NotJson& schema) { return NotJson{{"not", schema}}; }

  bool of_values(const std::string& keyword, const NotJson& said) {
    if (keyword == "type") {
      add_other_types(said);
    } else if (keyword == "const") {
      add({{kNotEnum, NotJson::array({said})}});
    } else if (keyword == "enum" && said.is_array()) {
      add({{kNotEnum, said}});
    } else if (keyword == kNotEnum) {
      add({{"enum", said}});
    } else if (keyword == "pattern") {
      add({{"type", "string"}, {kNotPatterns, NotJson::array({said})}});
    } else if (keyword == kPatterns) {
      for (const NotJson& each : said)
        add({{"type", "string"}, {kNotPatterns, NotJson::array({each})}});
    } else if (keyword == kNotPatterns) {
      for (const NotJson& each : said) add({{"type", "string"}, {"pattern", each}});
    } else {
      return false;
    }
    return true;
  }

  void add_other_types(const NotJson& said) {
    NotJson types = NotJson::array();
    for (const char* type : {"object", "array", "string", "number", "boolean", "null"}) {
      const auto is_said = [&](const NotJson& each) {
        return each == type || (each == "integer" && NotJson(type) == "number");
      };
      const bool is_there =
          said.is_array() ? std::any_of(said.begin(), said.end(), is_said) : is_said(said);
      if (!is_there) types.push_back(type);
    }
    if (!types.empty()) add({{"type", types}});
  }

  bool of_bounds(const std::string& keyword, const NotJson& said) {
    static const std::pair<const char*, const char*> numbers[] = {{"minimum", "exclusiveMaximum"},
                                                                  {"maximum", "exclusiveMinimum"},
                                                                  {"exclusiveMinimum", "maximum"},
                                                                  {"exclusiveMaximum", "minimum"}};
    for (const auto& [key, other] : numbers)
      if (keyword == key && said.is_number()) {
        add({{"type", "number"}, {other, said}});
        return true;
      }
    static const std::pair<const char*, const char*> sizes[] = {
        {"Length", "string"}, {"Items", "array"}, {"Properties", "object"}};
    for (const auto& [what, type] : sizes) {
      if (!said.is_number() ||
          (keyword != std::string("min") + what && keyword != std::string("max") + what))
        continue;
      const bool is_least = keyword.starts_with("min");
      const double size = said.get<double>();
      if (is_least && size <= 0) return true; // which all have
      add({{"type", type},
           {(is_least ? "max" : "min") + std::string(what),
            static_cast<i64>(size) + (is_least ? -1 : 1)}});
      return true;
    }
    return false;
  }

  bool of_members(const std::string& keyword, const NotJson& said) {
    if (keyword == "required" && said.is_array()) {
      for (const NotJson& name : said)
        add({{"type", "object"}, {"properties", {{name.get<std::string>(), false}}}});
    } else if (keyword == "properties" && said.is_object()) {
      for (const auto& [name, value] : said.items())
        add({{"type", "object"},
             {"properties", {{name, opposite(value)}}},
             {"required", NotJson::array({name})}});
    } else if (keyword == "items" && !schema_.contains("prefixItems")) {
      add({{"type", "array"}, {"contains", opposite(said)}});
    } else if (keyword == "contains" && !schema_.contains("minContains") &&
               !schema_.contains("maxContains")) {
      add({{"type", "array"}, {"items", opposite(said)}});
    } else {
      return false;
    }
    return true;
  }

  bool of_parts(const std::string& keyword, const NotJson& said) {
    if (keyword == "not") {
      add(said);
    } else if (keyword == "$ref") {
      add(opposite(scope_.resolve(said)));
    } else if (keyword == "allOf" && said.is_array()) {
      for (const NotJson& part : said) add(opposite(part));
    } else if (keyword == "anyOf" && said.is_array()) {
      NotJson all = NotJson::array();
      for (const NotJson& part : said) all.push_back(opposite(part));
      add({{"allOf", all}});
    } else {
      return false;
    }
    return true;
  }

  const NotJson& schema_;
  const SchemaScope& scope_;
  NotJson ways_ = NotJson::array();
};

} // namespace

NotJson negated(const NotJson& schema, const SchemaScope& scope) {
  if (schema.is_boolean()) return !schema.get<bool>();
  if (!schema.is_object()) scope.refuse("not around what is no schema");
  return Negation(schema, scope).result();
}

} // namespace talaria::model::grammar
