// Keywords that combine schemas.
#include <algorithm>

#include "core/error.hpp"
#include "model/grammar/schema_compiler.hpp"

namespace talaria::model::grammar {

namespace {

constexpr std::size_t kMostMerges = 1000;

} // namespace

SchemaCompiler::Json SchemaCompiler::merged(const Json& a, const Json& b, const std::string& path) {
  if (++merges_ > kMostMerges) fail(path, "has too many alternatives beside other keywords");
  return merged_schemas(a, b, costs_, [&](const std::string& keyword) { refuse(path, keyword); });
}

Expression SchemaCompiler::combination(const Json& schema, const std::string& key,
                                       const std::string& path, int depth) {
  Json rest = Json::object();
  for (const auto& [keyword, value] : schema.items())
    if (!is_note(keyword) && keyword != key &&
        !(key == "if" && (keyword == "then" || keyword == "else")))
      rest[keyword] = value;
  if (key == "$ref") {
    if (rest.empty()) return reference(schema, path, depth);
    return compile(merged(rest, pointed_at(schema["$ref"], path), path), path, depth + 1);
  }
  const std::vector<Json> parts = alternatives(schema, key, path);
  if (key == "allOf") {
    for (const Json& part : parts) rest = rest.empty() ? part : merged(rest, part, path);
    return compile(rest, path, depth + 1);
  }
  std::vector<Expression> forms;
  for (std::size_t i = 0; i < parts.size(); ++i) try {
      // What cannot be had beside `rest` is no reason to refuse how it would be merged.
      if (parts.size() > 1 && are_disjoint(rest, parts[i], scope(path))) continue;
      const std::string at = path + "/" + key + "/" + std::to_string(i);
      forms.push_back(
          compile(rest.empty() ? parts[i] : merged(rest, parts[i], path), at, depth + 1));
    } catch (const NoValue&) { // one alternative less
    }
  if (forms.empty()) nothing(path, "allows no value");
  return any_of(std::move(forms));
}

/// What a value has to match all of (allOf), or one of.
std::vector<SchemaCompiler::Json> SchemaCompiler::alternatives(const Json& schema,
                                                               const std::string& key,
                                                               const std::string& path) const {
  const Json& said = schema[key];
  if (key == "not") return {negated(said, scope(path))};
  if (key == "if") {
    const auto both = [](const Json& a, const Json& b) {
      return Json{{"allOf", Json::array({a, b})}};
    };
    if (!schema.contains("then") && !schema.contains("else")) return {true};
    SchemaScope here = scope(path);
    here.refuse = [&](const std::string& keyword) {
      refuse(path, "if whose condition cannot be turned round, with " + keyword);
    };
    return {both(said, schema.value("then", Json(true))),
            both(negated(said, here), schema.value("else", Json(true)))};
  }
  if (key == "dependentRequired" || key == "dependentSchemas") {
    if (!said.is_object()) fail(path + "/" + key, "is not an object");
    Json all = Json::array({true});
    for (const auto& [name, needed] : said.items()) {
      Json with{{"required", Json::array({name})}};
      if (key == "dependentSchemas")
        with = Json{{"allOf", Json::array({with, needed})}};
      else
        for (const Json& other : needed) with["required"].push_back(other);
      const Json without{{"properties", {{name, false}}}};
      all.push_back({{"anyOf", Json::array({without, with})}});
    }
    return {Json{{"allOf", all}}};
  }
  if (!said.is_array() || said.empty()) fail(path + "/" + key, "is not a list of schemas");
  if (key == "oneOf") return exclusive(said, path);
  return said;
}

/// Each of oneOf, and none of the others that a value of it could match too.
std::vector<SchemaCompiler::Json> SchemaCompiler::exclusive(const Json& parts,
                                                            const std::string& path) const {
  SchemaScope here = scope(path);
  here.refuse = [&](const std::string& keyword) {
    refuse(path, "oneOf whose schemas are not told apart by type, constant, range or a required "
                 "member, with " +
                     keyword);
  };
  std::vector<Json> out;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    Json all = Json::array({parts[i]});
    for (std::size_t j = 0; j < parts.size(); ++j)
      if (i != j && !are_disjoint(parts[i], parts[j], here)) all.push_back(negated(parts[j], here));
    out.push_back(all.size() == 1 ? parts[i] : Json{{"allOf", all}});
  }
  return out;
}

} // namespace talaria::model::grammar
