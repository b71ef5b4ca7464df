#include "model/grammar/json_schema.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "core/error.hpp"
#include "model/grammar/json_numbers.hpp"
#include "model/grammar/json_text.hpp"
#include "model/grammar/regex.hpp"
#include "model/grammar/schema_merge.hpp"

namespace talaria::model::grammar {

namespace {

using Json = SchemaJson;

constexpr int kDeepestSchema = 64;
constexpr std::size_t kMaxSchemaValues = 20'000;
constexpr std::size_t kLongestSchema = 64 << 10;
constexpr std::size_t kLongestChoices = 512 << 10; // a byte is a part of 100 bytes
constexpr std::size_t kMostMerges = 1000;
constexpr u32 kMaxCalls = 16;

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

  Expression root() {
    try {
      return compile(root_, "#", 0);
    } catch (const Json::exception&) { // which would quote it
      throw Error(Errc::usage, "the schema has a keyword whose value is of the wrong type");
    }
  }

private:
  [[noreturn]] void fail(const std::string& path, const std::string& what) const {
    throw Error(Errc::usage, fmt::format("the schema's {} {}", path, what));
  }
  [[noreturn]] void nothing(const std::string& path, const std::string& what) const {
    throw NoValue(fmt::format("the schema's {} {}", path, what));
  }
  [[noreturn]] void refuse(const std::string& path, const std::string& keyword) const {
    throw Error(Errc::usage,
                fmt::format("the schema's keyword '{}' (at {}) is not supported", keyword, path));
  }

  /// Every keyword is one of these, of `known`, or says nothing about values.
  void check_keywords(const Json& schema, const std::string& path,
                      std::initializer_list<const char*> known) const {
    for (const auto& [keyword, value] : schema.items()) {
      const auto is_keyword = [&name = keyword](const char* each) { return name == each; };
      if (!is_note(keyword) && std::none_of(known.begin(), known.end(), is_keyword))
        refuse(path, keyword);
    }
  }

  Expression compile(const Json& schema, const std::string& path, int depth) {
    if (++values_ > kMaxSchemaValues || depth > kDeepestSchema)
      fail(path, "is too large or nested too deeply");
    if (schema == true) return rule(kValue);
    if (schema == false) nothing(path, "is not a schema that a value can match");
    if (!schema.is_object()) fail(path, "is not a schema");
    // What stands inside it would be looked up from there.
    if (schema.contains("$id") && path != "#") refuse(path, "$id inside a document");
    if (schema.contains("const") || schema.contains("enum")) return constants(schema, path);
    for (const char* key : {"$ref", "allOf", "anyOf", "oneOf"})
      if (schema.contains(key)) return combination(schema, key, path, depth);
    return of_types(schema, path, depth);
  }

  /// The values that are listed, as far as they match what else the schema says.
  Expression constants(const Json& schema, const std::string& path) {
    const char* const source = schema.contains("const") ? "const" : "enum";
    const Json values = schema.contains("const") ? Json::array({schema["const"]}) : schema["enum"];
    if (!values.is_array()) fail(path + "/enum", "is not a list");
    Json rest = schema;
    rest.erase(source); // which they all match
    const auto resolve = [&](const Json& reference) -> const Json& {
      return pointed_at(reference, path);
    };
    std::vector<Expression> forms;
    for (const Json& value : values)
      if (matches_schema(value, rest, costs_, resolve,
                         [&](const std::string& keyword) { refuse(path, keyword); }))
        forms.push_back(literal(json_text(value)));
    if (forms.empty()) nothing(path, "has no value that matches");
    return any_of(std::move(forms));
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
                    "maxProperties",
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
    if (has({"properties", "required", "additionalProperties", "maxProperties"})) return {"object"};
    if (has({"items", "prefixItems", "minItems", "maxItems", "uniqueItems"})) return {"array"};
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
    const double number = value.is_number() ? value.get<double>() : -1; // 2.0 is whole too
    if (number < 0 || number > kMaxCopies || number != std::floor(number))
      fail(path + "/" + key, fmt::format("is not a whole number up to {}", kMaxCopies));
    return static_cast<u32>(number);
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
                             ? json_formats().find(schema["format"].get<std::string>())
                             : json_formats().end();
      if (known == json_formats().end()) refuse(path, "format: " + json_text(schema["format"]));
      if (bounded) refuse(path, "minLength or maxLength beside format");
      return quoted_text(parse_regex(known->second, true, json_characters));
    }
    const u32 least = count(schema, "minLength", path, 0);
    const u32 most = count(schema, "maxLength", path, 0);
    if (schema.contains("maxLength") && most < least) nothing(path, "allows no string");
    if (schema.contains("maxLength") && most == 0) return literal("\"\"");
    return quoted_text(repeat(any_json_character(), least, most));
  }

  /// The stricter of the two keywords for one end of a range, if there are any.
  std::optional<NumberBound> bound(const Json& schema, const std::string& path, bool lower) const {
    std::optional<NumberBound> found;
    for (const bool open : {false, true}) {
      const char* key =
          lower ? (open ? "exclusiveMinimum" : "minimum") : (open ? "exclusiveMaximum" : "maximum");
      if (!schema.contains(key)) continue;
      if (!schema[key].is_number()) fail(path + "/" + key, "is not a number");
      const auto value = schema[key].get<double>();
      if (!found || (lower ? value > found->value : value < found->value) ||
          (value == found->value && open))
        found = {value, open};
    }
    return found;
  }

  Expression number(const Json& schema, const std::string& path, bool integer) {
    if (schema.contains("multipleOf") && !(integer && schema["multipleOf"] == 1))
      refuse(path, "multipleOf");
    const auto low = bound(schema, path, true);
    const auto high = bound(schema, path, false);
    if (!low && !high && !integer) return any_json_number();
    const auto numbers = json_numbers(low, high, integer);
    if (!numbers)
      nothing(path, "allows no number with at most 15 digits, and an integer among them");
    return *numbers;
  }

  Expression list(const Json& schema, const std::string& path, int depth) {
    if (schema.value("uniqueItems", Json(false)) != false) refuse(path, "uniqueItems");
    const u32 least = count(schema, "minItems", path, 0);
    const bool bounded = schema.contains("maxItems");
    u32 most = count(schema, "maxItems", path, 0);
    std::vector<Expression> first;
    if (schema.contains("prefixItems"))
      for (const Json& item : schema["prefixItems"]) {
        const std::string at = fmt::format("{}/prefixItems/{}", path, first.size());
        const auto expression = if_any(item, at, depth);
        if (!expression) break; // no list gets so far
        first.push_back(*expression);
      }
    const bool is_cut = first.size() < schema.value("prefixItems", Json::array()).size();
    std::optional<Expression> items;
    if (!is_cut) items = if_any_named(schema.value("items", Json(true)), path + "/items", depth);
    const bool closed = !items;
    if (closed && (!bounded || most > first.size())) most = static_cast<u32>(first.size());
    const bool ends = bounded || closed;
    if (ends && most < least) nothing(path, "allows no list");
    if (ends && most == 0) return sequence({literal("["), json_blanks(), literal("]")});
    const Expression other = items.value_or(rule(kValue));
    // item, then what may come behind it, from the last one that is counted backwards
    const u32 counted = std::max<u32>({least, ends ? most : 0, static_cast<u32>(first.size())});
    const auto item = [&](u32 i) { return i < first.size() ? first[i] : other; };
    const auto comma = sequence({literal(","), json_blanks()});
    Expression rest = ends ? sequence({}) : repeat(sequence({comma, other}), 0, 0);
    for (u32 i = std::min(counted, ends ? most : counted); i-- > 0;) {
      const Expression with = sequence({i == 0 ? sequence({}) : comma, item(i), rest});
      rest = i < least ? with : optional(with);
    }
    if (counted == 0) rest = optional(sequence({other, rest}));
    return sequence({literal("["), json_blanks(), rest, json_blanks(), literal("]")});
  }

  /// Nothing for a schema that no value matches.
  std::optional<Expression> if_any(const Json& schema, const std::string& path, int depth) {
    try {
      return compile(schema, path, depth + 1);
    } catch (const NoValue&) {
      return std::nullopt;
    }
  }

  /// The same as a rule: what stands for many values is compiled once.
  std::optional<Expression> if_any_named(const Json& schema, const std::string& path, int depth) {
    const std::size_t number = rules_.bodies.size();
    rules_.bodies.push_back(any_of({}));
    const auto expression = if_any(schema, path, depth);
    if (!expression) return std::nullopt;
    rules_.bodies[number] = *expression;
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
      const auto expression = needed ? compile(value, at, depth + 1) : if_any(value, at, depth);
      if (!expression) return; // it cannot be there
      members.emplace_back(
          sequence({literal(json_text(Json(name))), literal(":"), json_blanks(), *expression}),
          needed);
    };
    const auto is_required = [&](const std::string& name) {
      return std::find(required.begin(), required.end(), name) != required.end();
    };
    for (const auto& [name, value] : properties.items()) add(name, value, is_required(name));
    for (const std::string& name : required)
      if (!properties.contains(name)) {
        if (more == false) nothing(path + "/required", "names what additionalProperties forbids");
        add(name, more, true);
      }
    const u32 least = count(schema, "minProperties", path, 0);
    if (least > required.size()) refuse(path, "minProperties");
    const u32 most = count(schema, "maxProperties", path, kMaxCopies);
    if (most < required.size()) nothing(path, "allows no object");
    if (most == 0) return sequence({literal("{"), json_blanks(), literal("}")});
    if (members.size() > most) refuse(path, "maxProperties");
    // Any names, unless some of them have rules of their own.
    if (properties.empty() && required.empty())
      if (const auto value = if_any_named(more, path + "/additionalProperties", depth)) {
        const auto member = sequence({rule(kText), literal(":"), json_blanks(), *value});
        return comma_separated(member, '{', '}', schema.contains("maxProperties") ? most : 0);
      }
    return sequence({literal("{"), json_blanks(), in_order(members), json_blanks(), literal("}")});
  }

  /// Members in their order, commas between those that are there.
  static Expression in_order(const std::vector<std::pair<Expression, bool>>& members) {
    // Behind a first member, and with none so far, from the last one backwards.
    Expression behind = sequence({});
    Expression fresh = sequence({});
    const auto comma = sequence({literal(","), json_blanks()});
    for (auto it = members.rbegin(); it != members.rend(); ++it) {
      const auto& [member, needed] = *it;
      const auto first = sequence({member, behind});
      const auto next = sequence({comma, member, behind});
      fresh = needed ? first : any_of({first, fresh});
      behind = needed ? next : any_of({next, behind});
    }
    return fresh;
  }

  /// One keyword is taken away: what it says is merged into what is left, once for each of its
  /// alternatives.
  Expression combination(const Json& schema, const std::string& key, const std::string& path,
                         int depth) {
    Json rest = Json::object();
    for (const auto& [keyword, value] : schema.items())
      if (!is_note(keyword) && keyword != key) rest[keyword] = value;
    const auto merge = [&](const Json& a, const Json& b) {
      if (++merges_ > kMostMerges) fail(path, "has too many alternatives beside other keywords");
      return merged_schemas(a, b, [&](const std::string& keyword) { refuse(path, keyword); });
    };
    if (key == "$ref") {
      if (rest.empty()) return reference(schema, path, depth);
      return compile(merge(rest, pointed_at(schema["$ref"], path)), path, depth + 1);
    }
    const Json& parts = schema[key];
    if (!parts.is_array() || parts.empty()) fail(path + "/" + key, "is not a list of schemas");
    if (key == "allOf") {
      for (const Json& part : parts) rest = rest.empty() ? part : merge(rest, part);
      return compile(rest, path, depth + 1);
    }
    if (key == "oneOf" && parts.size() > 1 && !are_distinct(parts))
      refuse(path, "oneOf whose schemas differ neither in type nor in a constant property");
    std::vector<Expression> forms;
    for (std::size_t i = 0; i < parts.size(); ++i) try {
        const std::string at = fmt::format("{}/{}/{}", path, key, i);
        forms.push_back(compile(rest.empty() ? parts[i] : merge(rest, parts[i]), at, depth + 1));
      } catch (const NoValue&) { // one alternative less
      }
    if (forms.empty()) nothing(path, "allows no value");
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
    const Json& target = schema["$ref"];
    const Json& found = pointed_at(target, path);
    if (const auto known = references_.find(target); known != references_.end())
      return rule(known->second);
    const std::size_t number = rules_.bodies.size();
    references_.emplace(target, number);
    rules_.bodies.push_back(any_of({})); // and stays so if it has no value
    rules_.bodies[number] = compile(found, target, depth + 1);
    return rule(number);
  }

  /// What a fragment points at, e.g. "#/$defs/a%20b".
  const Json& pointed_at(const Json& target, const std::string& path) const {
    if (!target.is_string()) fail(path + "/$ref", "is not a string");
    const auto& fragment = target.get_ref<const std::string&>();
    if (!fragment.starts_with("#") || (fragment.size() > 1 && fragment[1] != '/'))
      refuse(path, "$ref to another document or an anchor");
    std::string pointer;
    for (std::size_t i = 1; i < fragment.size(); ++i) {
      u8 byte = 0;
      const char* code = fragment.data() + i + 1;
      if (fragment[i] == '%' && i + 2 < fragment.size() &&
          std::from_chars(code, code + 2, byte, 16).ptr == code + 2) {
        pointer += static_cast<char>(byte);
        i += 2;
      } else {
        pointer += fragment[i];
      }
    }
    try {
      const Json* at = &root_;
      Json::json_pointer rest(pointer);
      std::vector<std::string> names;
      for (; !rest.empty(); rest.pop_back()) names.insert(names.begin(), rest.back());
      for (const std::string& name : names) {
        at = &at->at(Json::json_pointer() / name);
        if (&name != &names.back() && at->is_object() && at->contains("$id"))
          refuse(path, "$id inside a document");
      }
      return *at;
    } catch (const Json::exception&) {
      fail(path + "/$ref", "points to nothing");
    }
  }

  Json root_;
  Rules& rules_;
  std::map<std::string, std::size_t> references_;
  std::size_t values_ = 0;
  std::size_t merges_ = 0;
  MatchCosts costs_;
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
  std::size_t bytes = 0;
  for (const std::string& text : texts) {
    bytes += text.size();
    if (bytes > kLongestChoices)
      throw Error(Errc::usage, fmt::format("the texts to choose from are longer than {} bytes",
                                           kLongestChoices));
    forms.push_back(literal(text));
  }
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
