#include "model/grammar/schema_compiler.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/error.hpp"
#include "model/grammar/json_text.hpp"

namespace talaria::model::grammar {

namespace {

constexpr int kDeepestSchema = 64;
constexpr std::size_t kMaxSchemaValues = 20'000;
constexpr std::size_t kLongestSchema = 64 << 10;

/// Keywords of one type each, which compile() knows beside `type`.
const std::vector<std::pair<const char*, std::vector<const char*>>>& keywords_by_type() {
  static const std::vector<std::pair<const char*, std::vector<const char*>>> known{
      {"object",
       {"properties", "required", "additionalProperties", "patternProperties", "minProperties",
        "maxProperties", "unevaluatedProperties"}},
      {"array",
       {"items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains", "minContains",
        "maxContains"}},
      {"string", {"minLength", "maxLength", "pattern", "format", kPatterns, kNotPatterns}},
      {"number", {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}}};
  return known;
}

/// Of a schema without `type`: the first one whose keywords would be about its values. None: any.
std::vector<std::string> implied_types(const SchemaJson& schema) {
  for (const auto& [type, keywords] : keywords_by_type())
    for (const char* keyword : keywords) {
      const std::string_view name = keyword;
      if (name == "minContains" || name == "maxContains") continue; // say nothing alone
      if (schema.contains(keyword)) return {type};
    }
  if (!schema.contains(kNotEnum)) return {};
  return {"object", "array", "string", "number", "boolean", "null"};
}

/// Whether a value is among those that a schema excludes.
bool excludes(const SchemaJson& schema, const SchemaJson& value) {
  const SchemaJson values = schema.value(kNotEnum, SchemaJson::array());
  return std::any_of(values.begin(), values.end(),
                     [&](const SchemaJson& each) { return same_value(each, value); });
}

} // namespace

SchemaCompiler::SchemaCompiler(std::string_view text, Rules& rules) : rules_(rules) {
  if (text.size() > kLongestSchema)
    throw Error(Errc::usage, fmt::format("the schema is longer than {} bytes", kLongestSchema));
  root_ = Json::parse(text, nullptr, false);
  if (root_.is_discarded()) throw Error(Errc::usage, "the schema is not JSON");
}

Expression SchemaCompiler::root() {
  try {
    return compile(root_, "#", 0);
  } catch (const Json::exception&) { // which would quote it
    throw Error(Errc::usage, "the schema has a keyword whose value is of the wrong type");
  }
}

void SchemaCompiler::fail(const std::string& path, const std::string& what) const {
  throw Error(Errc::usage, fmt::format("the schema's {} {}", path, what));
}

void SchemaCompiler::nothing(const std::string& path, const std::string& what) const {
  throw NoValue(fmt::format("the schema's {} {}", path, what));
}

void SchemaCompiler::refuse(const std::string& path, const std::string& keyword) const {
  throw Error(Errc::usage,
              fmt::format("the schema's keyword '{}' (at {}) is not supported", keyword, path));
}

SchemaScope SchemaCompiler::scope(const std::string& path) const {
  return {
      [this, path](const Json& reference) -> const Json& { return pointed_at(reference, path); },
      [this, path](const std::string& keyword) { refuse(path, keyword); }, costs_};
}

void SchemaCompiler::check_keywords(const Json& schema, const std::string& path) const {
  for (const auto& [keyword, value] : schema.items()) {
    const auto is_keyword = [&name = keyword](const auto& each) {
      return std::any_of(each.second.begin(), each.second.end(),
                         [&](const char* known) { return name == known; });
    };
    const auto& known = keywords_by_type();
    if (!is_note(keyword) && keyword != "type" && keyword != "then" && keyword != "else" &&
        keyword != kNotEnum && std::none_of(known.begin(), known.end(), is_keyword))
      refuse(path, keyword);
  }
}

Expression SchemaCompiler::compile(const Json& schema, const std::string& path, int depth) {
  if (++values_ > kMaxSchemaValues || depth > kDeepestSchema)
    fail(path, "is too large or nested too deeply");
  if (schema == true) return rule(kValue);
  if (schema == false) nothing(path, "is not a schema that a value can match");
  if (!schema.is_object()) fail(path, "is not a schema");
  // What stands inside it would be looked up from there.
  if (schema.contains("$id") && path != "#") refuse(path, "$id inside a document");
  if (schema.contains("const") || schema.contains("enum")) return constants(schema, path);
  // Those that merging sets aside as a part of allOf come before allOf.
  for (const char* key :
       {"$ref", "if", "oneOf", "dependentRequired", "dependentSchemas", "allOf", "anyOf", "not"})
    if (schema.contains(key)) return combination(schema, key, path, depth);
  return of_types(schema, path, depth);
}

std::optional<Expression> SchemaCompiler::if_any(const Json& schema, const std::string& path,
                                                 int depth) {
  try {
    return compile(schema, path, depth + 1);
  } catch (const NoValue&) {
    return std::nullopt;
  }
}

std::optional<Expression> SchemaCompiler::if_any_named(const Json& schema, const std::string& path,
                                                       int depth) {
  const std::size_t number = rules_.bodies.size();
  rules_.bodies.push_back(any_of({}));
  const auto expression = if_any(schema, path, depth);
  if (!expression) return std::nullopt;
  rules_.bodies[number] = *expression;
  return rule(number);
}

/// The values that are listed, as far as they match what else the schema says.
Expression SchemaCompiler::constants(const Json& schema, const std::string& path) {
  const char* const source = schema.contains("const") ? "const" : "enum";
  const Json values = schema.contains("const") ? Json::array({schema["const"]}) : schema["enum"];
  if (!values.is_array()) fail(path + "/enum", "is not a list");
  Json rest = schema;
  rest.erase(source); // which they all match
  const SchemaScope here = scope(path);
  std::vector<Expression> forms;
  for (const Json& value : values)
    if (matches_schema(value, rest, costs_, here.resolve, here.refuse))
      forms.push_back(literal(value.dump()));
  if (forms.empty()) nothing(path, "has no value that matches");
  return any_of(std::move(forms));
}

Expression SchemaCompiler::of_types(const Json& schema, const std::string& path, int depth) {
  check_keywords(schema, path);
  std::vector<std::string> types;
  if (!schema.contains("type")) {
    types = implied_types(schema);
    if (types.empty()) return rule(kValue);
  } else if (schema["type"].is_string()) {
    types = {schema["type"].get<std::string>()};
  } else if (schema["type"].is_array()) {
    for (const Json& type : schema["type"])
      if (type.is_string()) types.push_back(type.get<std::string>());
  }
  if (types.empty()) fail(path + "/type", "names no type");
  std::vector<Expression> forms;
  for (const std::string& type : types) try {
      forms.push_back(of_type(type, schema, path, depth));
    } catch (const NoValue&) {
      if (types.size() == 1) throw;
    }
  if (forms.empty()) nothing(path, "allows no value");
  return any_of(std::move(forms));
}

Expression SchemaCompiler::of_type(const std::string& type, const Json& schema,
                                   const std::string& path, int depth) {
  if (type == "object" || type == "array") {
    const bool is_object = type == "object";
    const Json empty = is_object ? Json::object() : Json::array();
    for (const Json& value : schema.value(kNotEnum, Json::array()))
      if (value.type() == empty.type() && !value.empty())
        refuse(path, "not around an object or a list that is a constant");
    Json rest = schema;
    const char* least = is_object ? "minProperties" : "minItems";
    if (excludes(schema, empty) && count(rest, least, path, 0) == 0) rest[least] = 1;
    return is_object ? object(rest, path, depth) : list(rest, path, depth);
  }
  if (type == "string") return text(schema, path);
  if (type == "number" || type == "integer") return number(schema, path, type == "integer");
  std::vector<Expression> forms;
  if (type == "boolean") {
    for (const bool value : {true, false})
      if (!excludes(schema, value)) forms.push_back(literal(value ? "true" : "false"));
  } else if (type == "null") {
    if (!excludes(schema, nullptr)) forms.push_back(literal("null"));
  } else {
    fail(path + "/type", "names a type that JSON does not have");
  }
  if (forms.empty()) nothing(path, "allows no value");
  return any_of(std::move(forms));
}

u32 SchemaCompiler::count(const Json& schema, const char* key, const std::string& path,
                          u32 otherwise) const {
  if (!schema.contains(key)) return otherwise;
  const Json& value = schema[key];
  const double number = value.is_number() ? value.get<double>() : -1; // 2.0 is whole too
  if (number < 0 || number > kMaxCopies || number != std::floor(number))
    fail(path + "/" + key, fmt::format("is not a whole number up to {}", kMaxCopies));
  return static_cast<u32>(number);
}

Expression SchemaCompiler::reference(const Json& schema, const std::string& path, int depth) {
  const Json& target = schema["$ref"];
  const Json& found = pointed_at(target, path);
  if (const auto known = references_.find(target); known != references_.end())
    return rule(known->second);
  const std::size_t number = rules_.bodies.size();
  references_.emplace(target, number);
  rules_.bodies.push_back(any_of({})); // and stays so if it has no value
  // Not in one statement: the rules move while it is compiled.
  Expression body = compile(found, target, depth + 1);
  rules_.bodies[number] = std::move(body);
  return rule(number);
}

/// What a fragment points at, e.g. "#/$defs/a%20b".
const SchemaCompiler::Json& SchemaCompiler::pointed_at(const Json& target,
                                                       const std::string& path) const {
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

} // namespace talaria::model::grammar
