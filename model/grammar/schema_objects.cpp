// Objects of a schema.
#include <algorithm>

#include "core/error.hpp"
#include "model/grammar/json_text.hpp"
#include "model/grammar/regex.hpp"
#include "model/grammar/regular.hpp"
#include "model/grammar/schema_compiler.hpp"

namespace talaria::model::grammar {

namespace {

constexpr std::size_t kMostPatterns = 6;

Expression member(Expression name, Expression value) {
  return sequence({std::move(name), literal(":"), json_blanks(), std::move(value)});
}

Expression comma_behind() {
  return sequence({literal(","), json_blanks()});
}

/// Schemas that a value has to match all of.
SchemaJson all_of_these(const SchemaJson& schemas) {
  if (schemas.empty()) return true;
  return schemas.size() == 1 ? schemas.front() : SchemaJson{{"allOf", schemas}};
}

} // namespace

/// Members whose names the schema knows, in its order.
struct SchemaCompiler::Members {
  std::vector<std::pair<Expression, bool>> forms; ///< and whether each is required
  std::vector<std::string> names;                 ///< also of those that cannot be there
  u32 required = 0;
};

SchemaCompiler::Members SchemaCompiler::named_members(const Json& schema, const std::string& path,
                                                      int depth) {
  const Json properties = schema.value("properties", Json::object());
  if (!properties.is_object()) fail(path + "/properties", "is not an object");
  const Json patterns = schema.value("patternProperties", Json::object());
  if (!patterns.is_object()) fail(path + "/patternProperties", "is not an object");
  const Json required = schema.value("required", Json::array());
  if (!required.is_array()) fail(path + "/required", "is not a list");
  const Json more =
      schema.value("additionalProperties", schema.value("unevaluatedProperties", Json(true)));
  Members out;
  for (const auto& [name, value] : properties.items()) out.names.push_back(name);
  for (const Json& name : required)
    if (name.is_string() && std::find(out.names.begin(), out.names.end(), name) == out.names.end())
      out.names.push_back(name.get<std::string>());
  for (const std::string& name : out.names) {
    Json said = Json::array();
    if (properties.contains(name)) said.push_back(properties[name]);
    for (const auto& [pattern, value] : patterns.items())
      if (matches_pattern(name, pattern, costs_, scope(path).refuse)) said.push_back(value);
    const bool needed = std::find(required.begin(), required.end(), name) != required.end();
    if (said.empty() && more == false)
      nothing(path + "/required", "names what additionalProperties forbids");
    const Json value = said.empty() ? more : all_of_these(said);
    const std::string at = path + "/properties/" + name;
    const auto expression =
        needed ? std::optional(compile(value, at, depth + 1)) : if_any(value, at, depth);
    if (!expression) continue; // it cannot be there
    out.forms.emplace_back(member(literal(Json(name).dump()), *expression), needed);
    out.required += needed ? 1 : 0;
  }
  return out;
}

/// Members with any other names: those that patterns or additionalProperties speak of; any where
/// the schema names none. Nothing if there are none.
std::optional<Expression> SchemaCompiler::open_members(const Json& schema, const Members& members,
                                                       const std::string& path, int depth) {
  const Json patterns = schema.value("patternProperties", Json::object());
  const Json more =
      schema.value("additionalProperties", schema.value("unevaluatedProperties", Json(true)));
  if (patterns.empty() && members.names.empty()) {
    const auto value = if_any_named(more, path + "/additionalProperties", depth);
    return value ? std::optional(member(rule(kText), *value)) : std::nullopt;
  }
  if (patterns.size() > kMostPatterns) refuse(path, "patternProperties with more than 6 patterns");
  std::vector<Expression> forms;
  // One kind of names for each set of patterns that they match.
  for (u32 set = 0; set < 1U << patterns.size(); ++set) {
    if (set == 0 && !more.is_object()) continue; // which would be any name at all
    std::vector<Rules> all_of{{{repeat(plain_json_character(), 0, 0)}}};
    std::vector<Rules> none_of;
    for (const std::string& name : members.names) none_of.push_back({{plain_json_text(name)}});
    Json said = Json::array();
    u32 bit = 1;
    for (const auto& [pattern, value] : patterns.items()) {
      const bool matches = (set & bit) != 0;
      (matches ? all_of : none_of).push_back({{parse_regex(pattern, false, json_characters)}});
      if (matches) said.push_back(value);
      bit <<= 1;
    }
    const auto names = regular(rules_, all_of, none_of);
    if (!names) continue;
    const auto value =
        if_any_named(set == 0 ? more : all_of_these(said), path + "/patternProperties", depth);
    if (value) forms.push_back(member(quoted_text(*names), *value));
  }
  if (forms.empty()) return std::nullopt;
  const std::size_t number = rules_.bodies.size();
  rules_.bodies.push_back(any_of(std::move(forms)));
  return rule(number);
}

Expression SchemaCompiler::object(const Json& schema, const std::string& path, int depth) {
  const u32 least = count(schema, "minProperties", path, 0);
  const u32 most = count(schema, "maxProperties", path, kMaxCopies);
  if (most < least) nothing(path, "allows no object");
  const Members members = named_members(schema, path, depth);
  if (most < members.required) nothing(path, "allows no object");
  if (most == 0) return sequence({literal("{"), json_blanks(), literal("}")});
  if (members.forms.size() > most) refuse(path, "maxProperties");
  const u32 named = static_cast<u32>(members.forms.size());
  std::optional<Expression> open;
  if (most > named) open = open_members(schema, members, path, depth);
  // Names of others may be the same ones: they are one member for certain.
  if (least > named + (open ? 1 : 0)) {
    if (open) refuse(path, "minProperties");
    nothing(path, "allows no object");
  }
  const u32 others = !open ? 0 : schema.contains("maxProperties") ? most - named : 0;
  const auto inside = members_in_order(members, open, others, least);
  if (!inside) nothing(path, "allows no object");
  return sequence({literal("{"), json_blanks(), *inside, json_blanks(), literal("}")});
}

/// Members in their order, commas between those that are there, then up to `others` open ones (0:
/// any number), `least` of them all.
std::optional<Expression> SchemaCompiler::members_in_order(const Members& members,
                                                           const std::optional<Expression>& open,
                                                           u32 others, u32 least) {
  // [number so far, up to `least`]: what can come behind, from the last member backwards. In [0]
  // there was none, so that no comma comes first.
  const u32 counted = std::max(least, 1U);
  std::vector<std::optional<Expression>> behind(counted + 1);
  for (u32 had = 0; had <= counted; ++had) {
    if (had >= least) behind[had] = sequence({});
    if (!open || had + 1 < least) continue;
    const Expression next = sequence({comma_behind(), *open});
    const Expression tail =
        others == 1 ? sequence({}) : repeat(next, 0, others == 0 ? 0 : others - 1);
    const Expression some = sequence({had == 0 ? *open : next, tail});
    behind[had] = had >= least ? optional(some) : some;
  }
  for (auto it = members.forms.rbegin(); it != members.forms.rend(); ++it) {
    const auto& [form, needed] = *it;
    std::vector<std::optional<Expression>> here(counted + 1);
    for (u32 had = 0; had <= counted; ++had) {
      const auto& then = behind[std::min(had + 1, counted)];
      std::vector<Expression> ways;
      if (then)
        ways.push_back(had == 0 ? sequence({form, *then})
                                : sequence({comma_behind(), form, *then}));
      if (!needed && behind[had]) ways.push_back(*behind[had]);
      if (!ways.empty()) here[had] = any_of(std::move(ways));
    }
    behind = std::move(here);
  }
  return behind[0];
}

} // namespace talaria::model::grammar
