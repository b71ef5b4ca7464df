#include "model/grammar/json_schema.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "core/error.hpp"
#include "model/grammar/regex.hpp"

namespace talaria::model::grammar {

namespace {

using Json = nlohmann::ordered_json;

constexpr u32 kMaxDigits = 15; // exact in a double
constexpr int kDeepestSchema = 64;
constexpr std::size_t kMaxSchemaValues = 20'000;
constexpr std::size_t kLongestSchema = 64 << 10;
constexpr u32 kMaxCalls = 16;

Expression digit() {
  return byte_range('0', '9');
}

/// None, a blank, or a line break with an indentation.
Expression blanks() {
  static const Expression value =
      optional(any_of({literal(" "), sequence({literal("\n"), repeat(literal(" "), 0, 20)})}));
  return value;
}

Expression hexadecimal() {
  ByteSet set;
  for (const char c : std::string_view("0123456789abcdefABCDEF")) set.set(static_cast<u8>(c));
  return one_of(set);
}

/// \u0041, without halves of surrogate pairs.
Expression unicode_escape() {
  ByteSet first;
  for (const char c : std::string_view("0123456789abcefABCEF")) first.set(static_cast<u8>(c));
  ByteSet d;
  d.set('d');
  d.set('D');
  const auto hex = hexadecimal();
  return sequence(
      {literal("\\u"), any_of({sequence({one_of(first), hex, hex, hex}),
                               sequence({one_of(d), byte_range('0', '7'), hex, hex})})});
}

/// A character of a set inside a JSON string; the short escapes for those that need one.
Expression json_characters(const CharacterSet& set) {
  ByteSet plain;
  std::vector<Expression> forms;
  for (std::size_t c = 0; c < 128; ++c) {
    if (!set.ascii[c]) continue;
    switch (static_cast<char>(c)) {
    case '"':
    case '\\':
      forms.push_back(literal(std::string("\\") + static_cast<char>(c)));
      break;
    case '\n':
      forms.push_back(literal("\\n"));
      break;
    case '\t':
      forms.push_back(literal("\\t"));
      break;
    case '\r':
      forms.push_back(literal("\\r"));
      break;
    default:
      if (c >= 0x20) plain.set(c);
    }
  }
  if (plain.any()) forms.push_back(one_of(plain));
  if (set.others) forms.push_back(beyond_ascii());
  return any_of(std::move(forms));
}

Expression any_character() {
  static const Expression value = [] {
    ByteSet plain;
    for (unsigned c = 0x20; c < 0x7F; ++c)
      if (c != '"' && c != '\\') plain.set(c);
    ByteSet escapes;
    for (const char c : std::string_view("\"\\/bfnrt")) escapes.set(static_cast<u8>(c));
    return any_of({one_of(plain), beyond_ascii(), sequence({literal("\\"), one_of(escapes)}),
                   unicode_escape()});
  }();
  return value;
}

Expression quoted_text(Expression inside) {
  return sequence({literal("\""), std::move(inside), literal("\"")});
}

/// A positive number of at most `digits` digits, or 0.
Expression natural(u32 digits) {
  return any_of({literal("0"), sequence({byte_range('1', '9'), repeat(digit(), 0, digits - 1)})});
}

Expression fraction() {
  return sequence({literal("."), repeat(digit(), 1, kMaxDigits)});
}

Expression any_integer() {
  return sequence({optional(literal("-")), natural(kMaxDigits)});
}

Expression any_number() {
  ByteSet e;
  e.set('e');
  e.set('E');
  ByteSet sign;
  sign.set('+');
  sign.set('-');
  return sequence({optional(literal("-")), natural(kMaxDigits), optional(fraction()),
                   optional(sequence({one_of(e), optional(one_of(sign)), repeat(digit(), 1, 2)}))});
}

/// Numbers of exactly as many digits as the bounds have, from `low` to `high`.
Expression same_length(const std::string& low, const std::string& high) {
  const auto between = [](char a, char b) {
    return byte_range(static_cast<u8>(a), static_cast<u8>(b));
  };
  if (low.empty()) return sequence({});
  if (low[0] == high[0])
    return sequence({literal(low.substr(0, 1)), same_length(low.substr(1), high.substr(1))});
  const std::size_t rest = low.size() - 1;
  const auto any_rest = repeat(digit(), static_cast<u32>(rest), static_cast<u32>(rest));
  const Expression digits = rest == 0 ? sequence({}) : any_rest;
  std::vector<Expression> forms{
      sequence({literal(low.substr(0, 1)), same_length(low.substr(1), std::string(rest, '9'))}),
      sequence({literal(high.substr(0, 1)), same_length(std::string(rest, '0'), high.substr(1))})};
  if (high[0] - low[0] > 1)
    forms.push_back(
        sequence({between(static_cast<char>(low[0] + 1), static_cast<char>(high[0] - 1)), digits}));
  return any_of(std::move(forms));
}

/// From `low` to `high`, 0 <= low <= high.
Expression naturals_between(u64 low, u64 high) {
  std::vector<Expression> forms;
  for (std::string a = std::to_string(low); a.size() <= std::to_string(high).size();
       a = "1" + std::string(a.size(), '0')) {
    const std::string b =
        a.size() == std::to_string(high).size() ? std::to_string(high) : std::string(a.size(), '9');
    forms.push_back(same_length(a, b));
  }
  return any_of(std::move(forms));
}

/// Integers from `low` to `high`; nothing if there are none.
std::vector<Expression> integers_between(i64 low, i64 high) {
  std::vector<Expression> forms;
  if (low < 0 && low <= high)
    forms.push_back(sequence({literal("-"), naturals_between(static_cast<u64>(high < 0 ? -high : 1),
                                                             static_cast<u64>(-low))}));
  if (high >= 0 && low <= high)
    forms.push_back(
        naturals_between(static_cast<u64>(std::max<i64>(low, 0)), static_cast<u64>(high)));
  return forms;
}

const std::map<std::string, const char*>& formats() {
  static const std::map<std::string, const char*> known{
      {"date", R"(\d{4}-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8]))"},
      {"time", R"(([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d))"},
      {"date-time", R"(\d{4}-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d)"
                    R"((\.\d{1,6})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d))"},
      {"uuid", R"([0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})"},
      {"email", R"([a-z0-9]{1,32}(\.[a-z0-9]{1,32})?@[a-z0-9]{1,32}(\.[a-z]{2,8}){1,2})"},
      {"ipv4", R"(((25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d))"},
      {"hostname", R"([a-z0-9]{1,32}(\.[a-z0-9]{1,32}){0,3})"},
      {"uri", R"(https?://[a-z0-9]{1,32}(\.[a-z0-9]{1,32}){1,3}(/[a-zA-Z0-9_~.-]{0,64}){0,6})"}};
  return known;
}

/// Rules 1 to 6 say what any value is.
enum AnyRule : std::size_t { kTop, kValue, kObject, kList, kText, kNumber, kFirstFree };

Expression comma_separated(Expression item, char open, char close) {
  const std::string_view begin(&open, 1);
  const std::string_view end(&close, 1);
  const auto more = sequence({literal(","), blanks(), item});
  return sequence({literal(begin), blanks(),
                   optional(sequence({item, repeat(more, 0, 0), blanks()})), literal(end)});
}

Rules rules_of_anything() {
  Rules rules;
  rules.bodies.resize(kFirstFree);
  rules.bodies[kTop] = sequence({});
  rules.bodies[kValue] = any_of({rule(kObject), rule(kList), rule(kText), rule(kNumber),
                                 literal("true"), literal("false"), literal("null")});
  const auto member = sequence({rule(kText), literal(":"), blanks(), rule(kValue)});
  rules.bodies[kObject] = comma_separated(member, '{', '}');
  rules.bodies[kList] = comma_separated(rule(kValue), '[', ']');
  rules.bodies[kText] = quoted_text(repeat(any_character(), 0, 0));
  rules.bodies[kNumber] = any_number();
  return rules;
}

std::string json_text(const Json& value) {
  return value.dump();
}

class SchemaCompiler {
public:
  /// Its rules go behind those that there are, which begin with those of anything.
  SchemaCompiler(std::string_view text, Rules& rules) : rules_(rules) {
    if (text.size() > kLongestSchema)
      throw Error(Errc::usage, fmt::format("the schema is longer than {} bytes", kLongestSchema));
    root_ = Json::parse(text, nullptr, false);
    if (root_.is_discarded()) throw Error(Errc::usage, "the schema is not JSON");
  }

  Expression root() { return compile(root_, "#", 0); }

private:
  [[noreturn]] void fail(const std::string& path, const std::string& what) const {
    throw Error(Errc::usage, fmt::format("the schema's {} {}", path, what));
  }
  [[noreturn]] void refuse(const std::string& path, const std::string& keyword) const {
    throw Error(Errc::usage,
                fmt::format("the schema's keyword '{}' (at {}) is not supported", keyword, path));
  }

  /// Every keyword is one of these, of `known`, or says nothing about values.
  void check_keywords(const Json& schema, const std::string& path,
                      std::initializer_list<const char*> known) const {
    static const std::set<std::string> notes{
        "title",     "description", "default",          "examples",       "$schema",    "$id",
        "$comment",  "$defs",       "definitions",      "$anchor",        "deprecated", "readOnly",
        "writeOnly", "id",          "contentMediaType", "contentEncoding"};
    for (const auto& [keyword, value] : schema.items()) {
      const auto is_keyword = [&name = keyword](const char* each) { return name == each; };
      if (!notes.contains(keyword) && std::none_of(known.begin(), known.end(), is_keyword))
        refuse(path, keyword);
    }
  }

  Expression compile(const Json& schema, const std::string& path, int depth) {
    if (++values_ > kMaxSchemaValues || depth > kDeepestSchema)
      fail(path, "is too large or nested too deeply");
    if (schema == true) return rule(kValue);
    if (!schema.is_object()) fail(path, "is not a schema that a value can match");
    if (schema.contains("$ref")) return reference(schema, path, depth);
    for (const char* key : {"anyOf", "oneOf", "allOf"})
      if (schema.contains(key)) return combination(schema, key, path, depth);
    if (schema.contains("const")) {
      check_keywords(schema, path, {"const", "type"});
      return constants(schema, Json::array({schema["const"]}), path);
    }
    if (schema.contains("enum")) {
      check_keywords(schema, path, {"enum", "type"});
      return constants(schema, schema["enum"], path);
    }
    return of_types(schema, path, depth);
  }

  Expression constants(const Json& schema, const Json& values, const std::string& path) {
    if (!values.is_array()) fail(path + "/enum", "is not a list");
    std::vector<Expression> forms;
    for (const Json& value : values)
      if (!schema.contains("type") || has_type(value, schema["type"]))
        forms.push_back(literal(json_text(value)));
    if (forms.empty()) fail(path, "has no value that matches");
    return any_of(std::move(forms));
  }

  static bool has_type(const Json& value, const Json& type) {
    if (type.is_array())
      return std::any_of(type.begin(), type.end(),
                         [&](const Json& each) { return has_type(value, each); });
    if (type == "integer")
      return value.is_number_integer() ||
             (value.is_number() && value.get<double>() == std::floor(value.get<double>()));
    if (type == "number") return value.is_number();
    return type == value.type_name();
  }

  Expression of_types(const Json& schema, const std::string& path, int depth) {
    std::vector<std::string> types;
    if (!schema.contains("type")) {
      types = implied_types(schema, path);
      if (types.empty()) return rule(kValue);
    } else if (schema["type"].is_string()) {
      types = {schema["type"].get<std::string>()};
    } else if (schema["type"].is_array()) {
      for (const Json& type : schema["type"])
        if (type.is_string()) types.push_back(type.get<std::string>());
    }
    if (types.empty()) fail(path + "/type", "names no type");
    check_keywords(schema, path,
                   {"type",
                    "properties",
                    "required",
                    "additionalProperties",
                    "items",
                    "prefixItems",
                    "minItems",
                    "maxItems",
                    "uniqueItems",
                    "minLength",
                    "maxLength",
                    "pattern",
                    "format",
                    "minimum",
                    "maximum",
                    "exclusiveMinimum",
                    "exclusiveMaximum",
                    "multipleOf",
                    "minProperties",
                    "unevaluatedProperties"});
    std::vector<Expression> forms;
    for (const std::string& type : types) forms.push_back(of_type(type, schema, path, depth));
    return any_of(std::move(forms));
  }

  /// Of a schema without `type`: one whose keywords would be about its values. Nothing: any.
  std::vector<std::string> implied_types(const Json& schema, const std::string& path) const {
    const auto has = [&](std::initializer_list<const char*> keys) {
      return std::any_of(keys.begin(), keys.end(),
                         [&](const char* key) { return schema.contains(key); });
    };
    if (has({"properties", "required", "additionalProperties"})) return {"object"};
    if (has({"items", "prefixItems", "minItems", "maxItems"})) return {"array"};
    if (has({"minLength", "maxLength", "pattern", "format"})) return {"string"};
    if (has({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}))
      return {"number"};
    check_keywords(schema, path, {});
    return {};
  }

  Expression of_type(const std::string& type, const Json& schema, const std::string& path,
                     int depth) {
    if (type == "object") return object(schema, path, depth);
    if (type == "array") return list(schema, path, depth);
    if (type == "string") return text(schema, path);
    if (type == "number" || type == "integer") return number(schema, path, type == "integer");
    if (type == "boolean") return any_of({literal("true"), literal("false")});
    if (type == "null") return literal("null");
    fail(path + "/type", "names a type that JSON does not have");
  }

  u32 count(const Json& schema, const char* key, const std::string& path, u32 otherwise) const {
    if (!schema.contains(key)) return otherwise;
    const Json& value = schema[key];
    if (!value.is_number_unsigned() || value.get<u64>() > kMaxCopies)
      fail(path + "/" + key, fmt::format("is not a whole number up to {}", kMaxCopies));
    return value.get<u32>();
  }

  Expression text(const Json& schema, const std::string& path) {
    const bool bounded = schema.contains("minLength") || schema.contains("maxLength");
    if (schema.contains("pattern")) {
      if (bounded) refuse(path, "minLength or maxLength beside pattern");
      if (schema.contains("format")) refuse(path, "format beside pattern");
      if (!schema["pattern"].is_string()) fail(path + "/pattern", "is not a string");
      return quoted_text(
          parse_regex(schema["pattern"].get_ref<const std::string&>(), false, json_characters));
    }
    if (schema.contains("format")) {
      const auto known = schema["format"].is_string()
                             ? formats().find(schema["format"].get<std::string>())
                             : formats().end();
      if (known == formats().end()) refuse(path, "format: " + json_text(schema["format"]));
      if (bounded) refuse(path, "minLength or maxLength beside format");
      return quoted_text(parse_regex(known->second, true, json_characters));
    }
    const u32 least = count(schema, "minLength", path, 0);
    const u32 most = count(schema, "maxLength", path, 0);
    if (schema.contains("maxLength") && most < least) fail(path, "allows no string");
    if (schema.contains("maxLength") && most == 0) return literal("\"\"");
    return quoted_text(repeat(any_character(), least, most));
  }

  /// The least or greatest integer that the bounds leave, if there are any.
  std::optional<i64> bound(const Json& schema, const std::string& path, bool lower) const {
    std::optional<double> found;
    for (const bool exclusive : {false, true}) {
      const char* key = lower ? (exclusive ? "exclusiveMinimum" : "minimum")
                              : (exclusive ? "exclusiveMaximum" : "maximum");
      if (!schema.contains(key)) continue;
      if (!schema[key].is_number()) fail(path + "/" + key, "is not a number");
      const auto value = schema[key].get<double>();
      double integer = lower ? std::ceil(value) : std::floor(value);
      if (exclusive && integer == value) integer += lower ? 1 : -1;
      found = !found ? integer : lower ? std::max(*found, integer) : std::min(*found, integer);
    }
    if (!found) return std::nullopt;
    return static_cast<i64>(std::clamp(*found, -1e15 + 1, 1e15 - 1));
  }

  Expression number(const Json& schema, const std::string& path, bool integer) {
    if (schema.contains("multipleOf") && !(integer && schema["multipleOf"] == 1))
      refuse(path, "multipleOf");
    const auto low = bound(schema, path, true);
    const auto high = bound(schema, path, false);
    if (!low && !high) return integer ? any_integer() : any_number();
    constexpr i64 kMax = 999'999'999'999'999;
    const i64 from = low.value_or(-kMax);
    const i64 to = high.value_or(kMax);
    std::vector<Expression> forms = integers_between(from, to);
    if (forms.empty()) fail(path, "allows no number with at most 15 digits");
    // A fraction lies between two integers, both of which have to be allowed.
    if (!integer && to > 0 && std::max<i64>(from, 0) <= to - 1)
      forms.push_back(sequence(
          {naturals_between(static_cast<u64>(std::max<i64>(from, 0)), static_cast<u64>(to - 1)),
           fraction()}));
    if (!integer && from < 0 && std::max<i64>(-to, 0) <= -from - 1)
      forms.push_back(sequence(
          {literal("-"),
           naturals_between(static_cast<u64>(std::max<i64>(-to, 0)), static_cast<u64>(-from - 1)),
           fraction()}));
    return any_of(std::move(forms));
  }

  Expression list(const Json& schema, const std::string& path, int depth) {
    if (schema.value("uniqueItems", Json(false)) != false) refuse(path, "uniqueItems");
    const u32 least = count(schema, "minItems", path, 0);
    const bool bounded = schema.contains("maxItems");
    u32 most = count(schema, "maxItems", path, 0);
    std::vector<Expression> first;
    if (schema.contains("prefixItems"))
      for (const Json& item : schema["prefixItems"])
        first.push_back(
            compile(item, fmt::format("{}/prefixItems/{}", path, first.size()), depth + 1));
    const Json items = schema.value("items", Json(true));
    const bool closed = items == false;
    if (closed && (!bounded || most > first.size())) most = static_cast<u32>(first.size());
    const bool ends = bounded || closed;
    if (ends && most < least) fail(path, "allows no list");
    if (ends && most == 0) return sequence({literal("["), blanks(), literal("]")});
    const Expression other = closed ? rule(kValue) : named(items, path + "/items", depth + 1);
    // item, then what may come behind it, from the last one that is counted backwards
    const u32 counted = std::max<u32>({least, ends ? most : 0, static_cast<u32>(first.size())});
    const auto item = [&](u32 i) { return i < first.size() ? first[i] : other; };
    const auto comma = sequence({literal(","), blanks()});
    Expression rest = ends ? sequence({}) : repeat(sequence({comma, other}), 0, 0);
    for (u32 i = std::min(counted, ends ? most : counted); i-- > 0;) {
      const Expression with = sequence({i == 0 ? sequence({}) : comma, item(i), rest});
      rest = i < least ? with : optional(with);
    }
    if (counted == 0) rest = optional(sequence({other, rest}));
    return sequence({literal("["), blanks(), rest, blanks(), literal("]")});
  }

  /// Schemas that stand for many values are rules, so that they are compiled once.
  Expression named(const Json& schema, const std::string& path, int depth) {
    const std::size_t number = rules_.bodies.size();
    rules_.bodies.push_back(nullptr);
    rules_.bodies[number] = compile(schema, path, depth);
    return rule(number);
  }

  Expression object(const Json& schema, const std::string& path, int depth) {
    const Json none = Json::object();
    const Json& properties = schema.contains("properties") ? schema["properties"] : none;
    if (!properties.is_object()) fail(path + "/properties", "is not an object");
    const Json more =
        schema.value("additionalProperties", schema.value("unevaluatedProperties", Json(true)));
    std::vector<std::string> required;
    if (schema.contains("required")) {
      if (!schema["required"].is_array()) fail(path + "/required", "is not a list");
      for (const Json& name : schema["required"])
        if (name.is_string()) required.push_back(name.get<std::string>());
    }
    std::vector<std::pair<Expression, bool>> members; // and whether it is required
    const auto add = [&](const std::string& name, const Json& value, bool needed) {
      const std::string at = path + "/properties/" + name;
      if (value == false && !needed) return;
      members.emplace_back(sequence({literal(json_text(Json(name))), literal(":"), blanks(),
                                     compile(value, at, depth + 1)}),
                           needed);
    };
    const auto is_required = [&](const std::string& name) {
      return std::find(required.begin(), required.end(), name) != required.end();
    };
    for (const auto& [name, value] : properties.items()) add(name, value, is_required(name));
    for (const std::string& name : required)
      if (!properties.contains(name)) {
        if (more == false) fail(path + "/required", "names what additionalProperties forbids");
        add(name, more, true);
      }
    const u32 least = count(schema, "minProperties", path, 0);
    if (least > required.size()) refuse(path, "minProperties");
    if (members.empty() && more != false) {
      const auto member = sequence({rule(kText), literal(":"), blanks(),
                                    named(more, path + "/additionalProperties", depth + 1)});
      return comma_separated(member, '{', '}');
    }
    return sequence({literal("{"), blanks(), in_order(members), blanks(), literal("}")});
  }

  /// Members in their order, commas between those that are there.
  static Expression in_order(const std::vector<std::pair<Expression, bool>>& members) {
    // Behind a first member, and with none so far, from the last one backwards.
    Expression behind = sequence({});
    Expression fresh = sequence({});
    const auto comma = sequence({literal(","), blanks()});
    for (auto it = members.rbegin(); it != members.rend(); ++it) {
      const auto& [member, needed] = *it;
      const auto first = sequence({member, behind});
      const auto next = sequence({comma, member, behind});
      fresh = needed ? first : any_of({first, fresh});
      behind = needed ? next : any_of({next, behind});
    }
    return fresh;
  }

  Expression combination(const Json& schema, const char* key, const std::string& path, int depth) {
    check_keywords(schema, path, {key});
    const Json& choices = schema[key];
    if (!choices.is_array() || choices.empty()) fail(path + "/" + key, "is not a list of schemas");
    const bool one = std::string_view(key) == "oneOf";
    const bool all = std::string_view(key) == "allOf";
    if (all && choices.size() > 1) refuse(path, "allOf with several schemas");
    if (one && choices.size() > 1 && !are_distinct(choices))
      refuse(path, "oneOf whose schemas differ neither in type nor in a constant property");
    std::vector<Expression> forms;
    for (const Json& choice : choices)
      if (choice != false)
        forms.push_back(
            compile(choice, fmt::format("{}/{}/{}", path, key, forms.size()), depth + 1));
    if (forms.empty()) fail(path, "allows no value");
    return any_of(std::move(forms));
  }

  /// No value can match two of them.
  bool are_distinct(const Json& choices) const {
    std::set<std::string> types;
    bool by_type = true;
    for (const Json& choice : choices) {
      const Json type = choice.is_object() ? choice.value("type", Json()) : Json();
      by_type &= type.is_string() && types.insert(type == "integer" ? "number" : type).second;
    }
    if (by_type) return true;
    const Json& first = choices.front();
    if (!first.is_object() || !first.contains("properties")) return false;
    for (const auto& [name, value] : first["properties"].items()) {
      std::set<std::string> tags;
      const auto is_tagged = [&, &property = name](const Json& choice) {
        if (!choice.is_object() || choice.value("type", Json()) != "object") return false;
        const Json required = choice.value("required", Json::array());
        if (std::find(required.begin(), required.end(), property) == required.end()) return false;
        const Json tag = choice.value("properties", Json::object()).value(property, Json::object());
        return tag.is_object() && tag.contains("const") && tags.insert(tag["const"].dump()).second;
      };
      if (std::all_of(choices.begin(), choices.end(), is_tagged)) return true;
    }
    return false;
  }

  Expression reference(const Json& schema, const std::string& path, int depth) {
    check_keywords(schema, path, {"$ref"});
    if (!schema["$ref"].is_string()) fail(path + "/$ref", "is not a string");
    const auto target = schema["$ref"].get<std::string>();
    if (!target.starts_with("#") || (target.size() > 1 && target[1] != '/'))
      refuse(path, "$ref to another document or an anchor");
    if (const auto known = references_.find(target); known != references_.end())
      return rule(known->second);
    const std::size_t number = rules_.bodies.size();
    references_.emplace(target, number);
    rules_.bodies.push_back(nullptr);
    try {
      const Json::json_pointer pointer(target.substr(1));
      if (!root_.contains(pointer)) fail(path + "/$ref", "points to nothing");
      const Json found = root_.at(pointer);
      rules_.bodies[number] = compile(found, target, depth + 1);
    } catch (const Json::exception&) {
      fail(path + "/$ref", "points to nothing");
    }
    return rule(number);
  }

  Json root_;
  Rules& rules_;
  std::map<std::string, std::size_t> references_;
  std::size_t values_ = 0;
};

} // namespace

Rules json_object_rules() {
  Rules rules = rules_of_anything();
  rules.bodies[kTop] = rule(kObject);
  return rules;
}

Rules json_schema_rules(std::string_view schema) {
  Rules rules = rules_of_anything();
  Expression top = SchemaCompiler(schema, rules).root();
  rules.bodies[kTop] = std::move(top);
  return rules;
}

Rules choice_rules(const std::vector<std::string>& texts) {
  if (texts.empty()) throw Error(Errc::usage, "there is no text to choose");
  std::vector<Expression> forms;
  for (const std::string& text : texts) forms.push_back(literal(text));
  return {{any_of(std::move(forms))}};
}

Rules regex_rules(std::string_view pattern) {
  return {{parse_regex(pattern, true, plain_characters)}};
}

Rules call_rules(const std::vector<CallForm>& calls, std::string_view before,
                 std::string_view behind, bool several) {
  Rules rules = rules_of_anything();
  std::vector<Expression> forms;
  for (const CallForm& call : calls) {
    Expression arguments =
        call.parameters.empty() ? rule(kObject) : SchemaCompiler(call.parameters, rules).root();
    forms.push_back(sequence({literal(before), literal(R"({"name": )"),
                              literal(json_text(Json(call.name))), literal(R"(, "arguments": )"),
                              std::move(arguments), literal("}"), literal(behind)}));
  }
  const Expression one = any_of(std::move(forms));
  rules.bodies[kTop] =
      several ? sequence({one, repeat(sequence({literal("\n"), one}), 0, kMaxCalls - 1)}) : one;
  return rules;
}

} // namespace talaria::model::grammar
