// Whether a value matches a schema: for constants, which need no grammar.
#include <algorithm>
#include <cmath>
#include <string>

#include "core/integers.hpp"
#include "model/grammar/automaton.hpp"
#include "model/grammar/regex.hpp"
#include "model/grammar/schema_logic.hpp"
#include "model/grammar/schema_merge.hpp"

namespace talaria::model::grammar {

namespace {

using JudgedJson = SchemaJson;

constexpr int kDeepestMatch = 64;
constexpr const char* kSoMuchElse = "const or enum beside so much else";
constexpr std::size_t kComparisons = 64; // that take as long as a step
constexpr std::size_t kPlaces = 16;      // of an automaton, the same

bool has_type(const JudgedJson& value, const JudgedJson& type) {
  if (type.is_array())
    return std::any_of(type.begin(), type.end(),
                       [&](const JudgedJson& each) { return has_type(value, each); });
  if (type == "integer")
    return value.is_number_integer() ||
           (value.is_number() && value.get<double>() == std::floor(value.get<double>()));
  if (type == "number") return value.is_number();
  return type == value.type_name();
}

/// @throws Json::exception if `object` is none
const JudgedJson& member_or(const JudgedJson& object, const std::string& name,
                            const JudgedJson& otherwise) {
  if (!object.is_object()) return object.at(name);
  const auto found = object.find(name);
  return found == object.end() ? otherwise : *found;
}

bool is_listed(const JudgedJson& value, const JudgedJson& values) {
  return std::any_of(values.begin(), values.end(),
                     [&](const JudgedJson& each) { return same_value(value, each); });
}

bool are_unique(const JudgedJson& items) {
  for (std::size_t i = 0; i < items.size(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      if (same_value(items[i], items[j])) return false;
  return true;
}

/// As validators do: by a division of doubles.
bool is_multiple(const JudgedJson& value, const JudgedJson& of) {
  if (!of.is_number() || of.get<double>() <= 0) return false;
  const double quotient = value.get<double>() / of.get<double>();
  return quotient == std::floor(quotient) && std::abs(quotient) < 1e300;
}

std::size_t characters_of(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<u8>(c) & 0xC0) != 0x80; }));
}

bool is_within(const std::string& keyword, std::size_t size, const JudgedJson& bound) {
  const double limit = bound.is_number() ? bound.get<double>() : -1;
  return keyword.starts_with("min") ? static_cast<double>(size) >= limit
                                    : static_cast<double>(size) <= limit;
}

class Judge {
public:
  Judge(MatchCosts& costs, const SchemaResolver& resolve, const SchemaRefuser& refuse)
      : costs_(costs), resolve_(resolve), refuse_(refuse) {}

  bool matches(const JudgedJson& value, const JudgedJson& schema, int depth) const {
    if (schema.is_boolean()) return schema == true;
    if (depth > kDeepestMatch || !schema.is_object()) refuse_(kSoMuchElse);
    pay(1);
    for (const auto& [keyword, said] : schema.items())
      if (!is_note(keyword) && !holds(value, keyword, said, schema, depth)) return false;
    return true;
  }

private:
  void pay(std::size_t steps) const {
    if (!costs_.pay(steps)) refuse_(kSoMuchElse);
  }
  bool has_pattern(const std::string& text, const std::string& pattern) const {
    return matches_pattern(text, pattern, costs_, refuse_);
  }

  bool holds(const JudgedJson& value, const std::string& keyword, const JudgedJson& said,
             const JudgedJson& schema, int depth) const {
    if (keyword == "type") return has_type(value, said);
    if (keyword == "const") return same_value(value, said);
    if (keyword == "enum" || keyword == kNotEnum) {
      pay(said.size() / kComparisons);
      return is_listed(value, said) == (keyword == "enum");
    }
    for (const auto check : {&Judge::part_holds, &Judge::number_holds, &Judge::text_holds,
                             &Judge::list_holds, &Judge::object_holds})
      if (const auto answer = (this->*check)(value, keyword, said, schema, depth)) return *answer;
    refuse_(keyword);
    return false;
  }

  /// Each of these: nothing for a keyword that is none of theirs.
  std::optional<bool> part_holds(const JudgedJson& value, const std::string& keyword,
                                 const JudgedJson& said, const JudgedJson& schema,
                                 int depth) const {
    const auto count = [&] {
      return std::count_if(said.begin(), said.end(),
                           [&](const JudgedJson& each) { return matches(value, each, depth + 1); });
    };
    if (keyword == "$ref") return matches(value, resolve_(said), depth + 1);
    if (keyword == "allOf") return count() == static_cast<std::ptrdiff_t>(said.size());
    if (keyword == "anyOf") return count() > 0;
    if (keyword == "oneOf") return count() == 1;
    if (keyword == "not") return !matches(value, said, depth + 1);
    if (keyword == "then" || keyword == "else") return true; // with their `if`
    if (keyword == "if") {
      const char* branch = matches(value, said, depth + 1) ? "then" : "else";
      return !schema.contains(branch) || matches(value, schema[branch], depth + 1);
    }
    return std::nullopt;
  }

  std::optional<bool> number_holds(const JudgedJson& value, const std::string& keyword,
                                   const JudgedJson& said, const JudgedJson& /*schema*/,
                                   int /*depth*/) const {
    if (keyword == "minimum") return !value.is_number() || value >= said;
    if (keyword == "maximum") return !value.is_number() || value <= said;
    if (keyword == "exclusiveMinimum") return !value.is_number() || value > said;
    if (keyword == "exclusiveMaximum") return !value.is_number() || value < said;
    if (keyword == "multipleOf") return !value.is_number() || is_multiple(value, said);
    return std::nullopt;
  }

  std::optional<bool> text_holds(const JudgedJson& value, const std::string& keyword,
                                 const JudgedJson& said, const JudgedJson& /*schema*/,
                                 int /*depth*/) const {
    if (keyword == "minLength" || keyword == "maxLength")
      return !value.is_string() || is_within(keyword, characters_of(value), said);
    if (keyword == "pattern") return !value.is_string() || has_pattern(value, said);
    if (keyword == kPatterns)
      return !value.is_string() ||
             std::all_of(said.begin(), said.end(),
                         [&](const JudgedJson& each) { return has_pattern(value, each); });
    if (keyword == kNotPatterns)
      return !value.is_string() ||
             std::none_of(said.begin(), said.end(),
                          [&](const JudgedJson& each) { return has_pattern(value, each); });
    return std::nullopt;
  }

  std::optional<bool> list_holds(const JudgedJson& value, const std::string& keyword,
                                 const JudgedJson& said, const JudgedJson& schema,
                                 int depth) const {
    if (keyword == "minItems" || keyword == "maxItems")
      return !value.is_array() || is_within(keyword, value.size(), said);
    if (keyword == "uniqueItems") {
      if (said != true || !value.is_array()) return true;
      pay(value.size() * value.size() / kComparisons);
      return are_unique(value);
    }
    if (keyword == "prefixItems" || keyword == "items")
      return !value.is_array() || items_match(value, schema, depth);
    if (keyword == "minContains" || keyword == "maxContains") return true; // with `contains`
    if (keyword == "contains") {
      if (!value.is_array()) return true;
      const auto count = static_cast<std::size_t>(
          std::count_if(value.begin(), value.end(),
                        [&](const JudgedJson& item) { return matches(item, said, depth + 1); }));
      return is_within("minContains", count, schema.value("minContains", JudgedJson(1))) &&
             (!schema.contains("maxContains") ||
              is_within("maxContains", count, schema["maxContains"]));
    }
    return std::nullopt;
  }

  std::optional<bool> object_holds(const JudgedJson& value, const std::string& keyword,
                                   const JudgedJson& said, const JudgedJson& schema,
                                   int depth) const {
    const auto has_all = [&](const JudgedJson& names) {
      return std::all_of(names.begin(), names.end(), [&](const JudgedJson& name) {
        return value.contains(name.get<std::string>());
      });
    };
    if (keyword == "minProperties" || keyword == "maxProperties")
      return !value.is_object() || is_within(keyword, value.size(), said);
    if (keyword == "required") return !value.is_object() || has_all(said);
    if (keyword == "dependentRequired" || keyword == "dependentSchemas") {
      if (!value.is_object()) return true;
      for (const auto& [name, needed] : said.items())
        if (value.contains(name) &&
            (keyword == "dependentRequired" ? !has_all(needed)
                                            : !matches(value, needed, depth + 1)))
          return false;
      return true;
    }
    if (keyword == "properties" || keyword == "additionalProperties" ||
        keyword == "patternProperties")
      return !value.is_object() || members_match(value, schema, depth);
    return std::nullopt;
  }

  bool members_match(const JudgedJson& value, const JudgedJson& schema, int depth) const {
    const JudgedJson& named = member_or(schema, "properties", kNone);
    const JudgedJson& patterns = member_or(schema, "patternProperties", kNone);
    const JudgedJson& others = member_or(schema, "additionalProperties", kAny);
    for (const auto& [name, member] : value.items()) {
      bool known = named.contains(name);
      if (known && !matches(member, named.at(name), depth + 1)) return false;
      for (const auto& [pattern, said] : patterns.items()) {
        if (!has_pattern(name, pattern)) continue;
        known = true;
        if (!matches(member, said, depth + 1)) return false;
      }
      if (!known && !matches(member, others, depth + 1)) return false;
    }
    return true;
  }

  bool items_match(const JudgedJson& value, const JudgedJson& schema, int depth) const {
    const JudgedJson& first = member_or(schema, "prefixItems", kEmpty);
    const JudgedJson& others = member_or(schema, "items", kAny);
    for (std::size_t i = 0; i < value.size(); ++i)
      if (!matches(value[i], i < first.size() ? first[i] : others, depth + 1)) return false;
    return true;
  }

  const JudgedJson kAny = true, kNone = JudgedJson::object(), kEmpty = JudgedJson::array();
  MatchCosts& costs_;
  const SchemaResolver& resolve_;
  const SchemaRefuser& refuse_;
};

} // namespace

bool matches_pattern(const std::string& text, const std::string& pattern, MatchCosts& costs,
                     const SchemaRefuser& refuse) {
  const auto [known, is_new] = costs.patterns.try_emplace(pattern);
  if (is_new) {
    known->second =
        std::make_unique<Automaton>(Rules{{parse_regex(pattern, false, plain_characters)}});
    if (!costs.pay(known->second->places() / kPlaces)) refuse(kSoMuchElse);
  }
  if (!costs.pay(text.size() / kComparisons)) refuse(kSoMuchElse);
  Automaton& automaton = *known->second;
  auto state = automaton.start();
  for (const char byte : text) {
    state = automaton.next(state, static_cast<u8>(byte));
    if (state == Automaton::kDead) return false;
  }
  return automaton.accepts(state);
}

bool matches_schema(const JudgedJson& value, const JudgedJson& schema, MatchCosts& costs,
                    const SchemaResolver& resolve, const SchemaRefuser& refuse) {
  return Judge(costs, resolve, refuse).matches(value, schema, 0);
}

} // namespace talaria::model::grammar
