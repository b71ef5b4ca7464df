#include "model/grammar/schema_logic.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <utility>

#include "core/integers.hpp"

namespace talaria::model::grammar {

namespace {

using LogicJson = SchemaJson;

constexpr int kDeepestLook = 8;
constexpr int kMostLooks = 5000;
constexpr double kMostIntegers = 64; // that are listed

bool matches_in(const LogicJson& value, const LogicJson& schema, const SchemaScope& scope) {
  return matches_schema(value, schema, scope.costs, scope.resolve, scope.refuse);
}

/// `enum` or `const`; nothing if there is none.
std::optional<LogicJson> listed_values(const LogicJson& schema) {
  if (schema.contains("const")) return LogicJson::array({schema["const"]});
  if (schema.contains("enum") && schema["enum"].is_array()) return schema["enum"];
  return std::nullopt;
}

std::set<std::string> types_of(const LogicJson& schema) {
  std::set<std::string> out;
  const auto add = [&](const LogicJson& type) {
    if (type.is_string()) out.insert(type == "integer" ? "number" : type.get<std::string>());
  };
  if (const auto values = listed_values(schema)) {
    for (const LogicJson& value : *values)
      out.insert(value.is_number() ? "number" : value.type_name());
  } else if (schema.contains("type")) {
    if (schema["type"].is_array())
      for (const LogicJson& type : schema["type"]) add(type);
    else
      add(schema["type"]);
  } else {
    out = {"object", "array", "string", "number", "boolean", "null"};
  }
  return out;
}

class Distinction {
public:
  explicit Distinction(const SchemaScope& scope) : scope_(scope) {}

  bool distinct(const LogicJson& a, const LogicJson& b, int depth) {
    if (a == false || b == false) return true;
    if (depth > kDeepestLook || ++looks_ > kMostLooks || !a.is_object() || !b.is_object())
      return false;
    if (by_parts(a, b, depth) || by_parts(b, a, depth)) return true;
    if (by_values(a, b) || by_values(b, a)) return true;
    const auto of_a = types_of(a);
    const auto of_b = types_of(b);
    std::set<std::string> both;
    std::set_intersection(of_a.begin(), of_a.end(), of_b.begin(), of_b.end(),
                          std::inserter(both, both.end()));
    return std::all_of(both.begin(), both.end(), [&](const std::string& type) {
      if (type == "number") return by_range(a, b) || by_range(b, a);
      if (type == "object") return by_member(a, b, depth) || by_member(b, a, depth);
      if (type == "string") return by_size(a, b, "Length") || by_size(b, a, "Length");
      if (type == "array") return by_size(a, b, "Items") || by_size(b, a, "Items");
      return false;
    });
  }

private:
  bool by_parts(const LogicJson& a, const LogicJson& b, int depth) {
    const auto from_b = [&](const LogicJson& part) { return distinct(part, b, depth + 1); };
    if (a.contains("$ref") && from_b(scope_.resolve(a["$ref"]))) return true;
    if (a.contains("allOf") && a["allOf"].is_array() &&
        std::any_of(a["allOf"].begin(), a["allOf"].end(), from_b))
      return true;
    for (const char* choice : {"anyOf", "oneOf"})
      if (a.contains(choice) && a[choice].is_array() &&
          std::all_of(a[choice].begin(), a[choice].end(), from_b))
        return true;
    return false;
  }

  /// None of the values of one matches the other, as far as that can be looked up.
  bool by_values(const LogicJson& a, const LogicJson& b) const {
    const auto values = listed_values(a);
    if (!values) return false;
    const auto unknown = [](const std::string&) { throw Error(Errc::usage, "unknown"); };
    try {
      return std::none_of(values->begin(), values->end(), [&](const LogicJson& value) {
        return matches_schema(value, b, scope_.costs, scope_.resolve, unknown);
      });
    } catch (const Error&) {
      return false;
    }
  }

  /// a ends before b begins.
  static bool by_range(const LogicJson& a, const LogicJson& b) {
    for (const char* upper : {"maximum", "exclusiveMaximum"})
      for (const char* lower : {"minimum", "exclusiveMinimum"}) {
        if (!a.contains(upper) || !b.contains(lower) || !a[upper].is_number() ||
            !b[lower].is_number())
          continue;
        const bool open = upper[0] == 'e' || lower[0] == 'e';
        if (a[upper] < b[lower] || (open && a[upper] == b[lower])) return true;
      }
    return false;
  }

  static bool by_size(const LogicJson& a, const LogicJson& b, const std::string& what) {
    const LogicJson most = a.value("max" + what, LogicJson());
    const LogicJson least = b.value("min" + what, LogicJson());
    return most.is_number() && least.is_number() && most < least;
  }

  static bool requires_member(const LogicJson& schema, const std::string& name) {
    const LogicJson required = schema.value("required", LogicJson::array());
    return std::find(required.begin(), required.end(), name) != required.end();
  }

  /// A member that a requires and that b requires to be another, or does not allow.
  bool by_member(const LogicJson& a, const LogicJson& b, int depth) {
    const LogicJson required = a.value("required", LogicJson::array());
    const LogicJson of_a = a.value("properties", LogicJson::object());
    const LogicJson of_b = b.value("properties", LogicJson::object());
    return std::any_of(required.begin(), required.end(), [&](const LogicJson& each) {
      if (!each.is_string()) return false;
      const auto name = each.get<std::string>();
      if (!of_b.contains(name))
        return b.value("additionalProperties", LogicJson(true)) == false &&
               !b.contains("patternProperties");
      if (of_b[name] == false) return true;
      return of_a.contains(name) && distinct(of_a[name], of_b[name], depth + 1);
    });
  }

  const SchemaScope& scope_;
  int looks_ = 0;
};

void add_once(const LogicJson& value, std::vector<LogicJson>& out) {
  const auto same = [&](const LogicJson& each) { return same_value(each, value); };
  if (std::none_of(out.begin(), out.end(), same)) out.push_back(value);
}

/// Those that the schema's own list or type names, before its other keywords.
std::optional<LogicJson> candidates(const LogicJson& schema, const SchemaScope& scope, int depth) {
  if (!schema.is_object() || depth > kDeepestLook) return std::nullopt;
  if (const auto values = listed_values(schema)) return values;
  if (schema.contains("$ref")) return candidates(scope.resolve(schema["$ref"]), scope, depth + 1);
  LogicJson out = LogicJson::array();
  for (const char* choice : {"anyOf", "oneOf"}) {
    if (!schema.contains(choice)) continue;
    for (const LogicJson& part : schema[choice]) {
      const auto values = candidates(part, scope, depth + 1);
      if (!values) return std::nullopt;
      for (const LogicJson& value : *values) out.push_back(value);
    }
    return out;
  }
  if (!schema.contains("type")) return std::nullopt;
  const LogicJson types =
      schema["type"].is_array() ? schema["type"] : LogicJson::array({schema["type"]});
  for (const LogicJson& type : types) {
    if (type == "boolean") {
      out.push_back(true);
      out.push_back(false);
    } else if (type == "null") {
      out.push_back(nullptr);
    } else if (type == "integer" && schema.contains("minimum") && schema.contains("maximum") &&
               schema["minimum"].is_number() && schema["maximum"].is_number()) {
      const double low = std::ceil(schema["minimum"].get<double>());
      const double high = std::floor(schema["maximum"].get<double>());
      if (high - low > kMostIntegers || std::abs(low) > 1e15) return std::nullopt;
      for (double value = low; value <= high; ++value) out.push_back(static_cast<i64>(value));
    } else {
      return std::nullopt;
    }
  }
  return out;
}

} // namespace

bool same_value(const LogicJson& a, const LogicJson& b) {
  if (a.is_number() && b.is_number()) return a == b;
  if (a.type() != b.type()) return false;
  if (a.size() != b.size()) return false;
  if (a.is_array()) return std::equal(a.begin(), a.end(), b.begin(), b.end(), same_value);
  if (!a.is_object()) return a == b;
  for (const auto& [name, value] : a.items())
    if (!b.contains(name) || !same_value(value, b[name])) return false;
  return true;
}

bool are_disjoint(const LogicJson& a, const LogicJson& b, const SchemaScope& scope) {
  return Distinction(scope).distinct(a, b, 0);
}

std::optional<std::vector<LogicJson>> finite_values(const LogicJson& schema,
                                                    const SchemaScope& scope) {
  const auto found = candidates(schema, scope, 0);
  if (!found) return std::nullopt;
  std::vector<LogicJson> out;
  for (const LogicJson& value : *found)
    if (matches_in(value, schema, scope)) add_once(value, out);
  return out;
}

} // namespace talaria::model::grammar
