// Strings and numbers of a schema.
#include <algorithm>

#include "core/error.hpp"
#include "model/grammar/json_text.hpp"
#include "model/grammar/regex.hpp"
#include "model/grammar/regular.hpp"
#include "model/grammar/schema_compiler.hpp"

namespace talaria::model::grammar {

Expression SchemaCompiler::text(const Json& schema, const std::string& path) {
  const bool bounded = schema.contains("minLength") || schema.contains("maxLength");
  const bool has_pattern = schema.contains("pattern");
  if (has_pattern && !schema["pattern"].is_string()) fail(path + "/pattern", "is not a string");
  if (schema.contains("format") && (!schema["format"].is_string() ||
                                    !json_formats().contains(schema["format"].get<std::string>())))
    refuse(path, "format: " + schema["format"].dump());
  const auto excluded = schema.value(kNotEnum, Json::array());
  const bool is_more = schema.contains(kNotPatterns) || schema.contains(kPatterns) ||
                       std::any_of(excluded.begin(), excluded.end(),
                                   [](const Json& value) { return value.is_string(); });
  if (is_more ||
      (bounded ? 1 : 0) + (has_pattern ? 1 : 0) + (schema.contains("format") ? 1 : 0) > 1)
    return bounded_text(schema, path);
  if (has_pattern)
    return quoted_text(
        parse_regex(schema["pattern"].get_ref<const std::string&>(), false, json_characters));
  if (schema.contains("format"))
    return quoted_text(
        parse_regex(json_formats().at(schema["format"].get<std::string>()), true, json_characters));
  const u32 least = count(schema, "minLength", path, 0);
  const u32 most = count(schema, "maxLength", path, 0);
  if (schema.contains("maxLength") && most < least) nothing(path, "allows no string");
  if (schema.contains("maxLength") && most == 0) return literal("\"\"");
  return quoted_text(repeat(any_json_character(), least, most));
}

/// Of several keywords: each character is written in one way only, so that texts that are equal
/// as strings are equal as bytes.
Expression SchemaCompiler::bounded_text(const Json& schema, const std::string& path) {
  std::vector<Rules> all_of;
  std::vector<Rules> none_of;
  const auto matching = [](const Json& pattern) {
    return Rules{{parse_regex(pattern.get<std::string>(), false, json_characters)}};
  };
  if (schema.contains("pattern")) all_of.push_back(matching(schema["pattern"]));
  for (const Json& pattern : schema.value(kPatterns, Json::array()))
    all_of.push_back(matching(pattern));
  if (schema.contains("format"))
    all_of.push_back({{parse_regex(json_formats().at(schema["format"].get<std::string>()), true,
                                   json_characters)}});
  const u32 least = count(schema, "minLength", path, 0);
  const u32 most = count(schema, "maxLength", path, 0);
  const bool ends = schema.contains("maxLength");
  if (ends && most < least) nothing(path, "allows no string");
  const Expression each = plain_json_character();
  all_of.push_back({{ends && most == 0 ? sequence({}) : repeat(each, least, most)}});
  for (const Json& pattern : schema.value(kNotPatterns, Json::array()))
    none_of.push_back(matching(pattern));
  for (const Json& value : schema.value(kNotEnum, Json::array()))
    if (value.is_string()) none_of.push_back({{plain_json_text(value.get<std::string>())}});
  const auto found = regular(rules_, all_of, none_of);
  if (!found) nothing(path, "allows no string");
  return quoted_text(*found);
}

/// The stricter of the two keywords for one end of a range, if there are any.
std::optional<NumberBound> SchemaCompiler::bound(const Json& schema, const std::string& path,
                                                 bool lower) const {
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

Expression SchemaCompiler::number(const Json& schema, const std::string& path, bool integer) {
  NumberForm form{bound(schema, path, true), bound(schema, path, false), integer, {}, {}};
  if (schema.contains("multipleOf")) {
    const Json& divisor = schema["multipleOf"];
    if (!divisor.is_number() || divisor.get<double>() <= 0)
      fail(path + "/multipleOf", "is not a number above 0");
    form.multiple_of = divisor.get<double>();
  }
  for (const Json& value : schema.value(kNotEnum, Json::array()))
    if (value.is_number()) form.others_than.push_back(value.get<double>());
  const auto numbers = json_numbers(rules_, form);
  if (!numbers) nothing(path, "allows no number with at most 15 digits, and an integer among them");
  return *numbers;
}

} // namespace talaria::model::grammar
