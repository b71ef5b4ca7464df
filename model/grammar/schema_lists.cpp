// Lists of a schema.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "core/error.hpp"
#include "model/grammar/json_text.hpp"
#include "model/grammar/schema_compiler.hpp"

namespace talaria::model::grammar {

namespace {

constexpr std::size_t kMostAnyOrder = 8; // values whose sets are states
constexpr u32 kMostCountedItems = 256;   // beside `contains`
constexpr u32 kMostContained = 16;
constexpr std::size_t kMostUnlikePlaces = 16;

Expression comma() {
  return sequence({literal(","), json_blanks()});
}

Expression in_brackets(Expression items) {
  return sequence({literal("["), json_blanks(), std::move(items), json_blanks(), literal("]")});
}

Expression empty_list() {
  return sequence({literal("["), json_blanks(), literal("]")});
}

} // namespace

/// What stands in a list, and how many.
struct SchemaCompiler::ListForm {
  u32 least = 0;
  std::optional<u32> most;
  std::size_t places = 0; ///< with a schema of their own
  Json items = true;      ///< the schema of those behind

  const Json& said_of(const Json& schema, u32 place) const {
    return place < places ? schema["prefixItems"][place] : items;
  }
};

Expression SchemaCompiler::list(const Json& schema, const std::string& path, int depth) {
  ListForm form;
  form.least = count(schema, "minItems", path, 0);
  if (schema.contains("maxItems")) form.most = count(schema, "maxItems", path, 0);
  form.items = schema.value("items", Json(true));
  if (schema.contains("prefixItems")) {
    if (!schema["prefixItems"].is_array()) fail(path + "/prefixItems", "is not a list");
    form.places = schema["prefixItems"].size();
  }
  if (form.items == false)
    form.most = std::min(form.most.value_or(kMaxCopies), static_cast<u32>(form.places));
  if (schema.value("uniqueItems", Json(false)) != false && form.most.value_or(2) > 1 &&
      !are_unlike(form, schema, path)) {
    const auto values = form.places == 0 ? finite_values(form.items, scope(path)) : std::nullopt;
    if (!values)
      refuse(path, "uniqueItems of items that are not constants, Booleans or few integers");
    if (schema.contains("contains")) refuse(path, "contains beside uniqueItems");
    return unique_list(*values, form.least, form.most, path);
  }
  if (schema.contains("contains")) return containing_list(form, schema, path, depth);
  return plain_list(form, schema, path, depth);
}

Expression SchemaCompiler::plain_list(ListForm form, const Json& schema, const std::string& path,
                                      int depth) {
  std::vector<Expression> first;
  for (u32 i = 0; i < form.places; ++i) {
    const std::string at = fmt::format("{}/prefixItems/{}", path, i);
    const auto expression = if_any(schema["prefixItems"][i], at, depth);
    if (!expression) break; // no list gets so far
    first.push_back(*expression);
  }
  std::optional<Expression> items;
  if (first.size() == form.places) items = if_any_named(form.items, path + "/items", depth);
  if (!items) form.most = std::min(form.most.value_or(kMaxCopies), static_cast<u32>(first.size()));
  const bool ends = form.most.has_value();
  const u32 most = form.most.value_or(0);
  if (ends && most < form.least) nothing(path, "allows no list");
  if (ends && most == 0) return empty_list();
  const Expression other = items.value_or(rule(kValue));
  // item, then what may come behind it, from the last one that is counted backwards
  const u32 counted = std::max<u32>({form.least, most, static_cast<u32>(first.size())});
  const auto item = [&](u32 i) { return i < first.size() ? first[i] : other; };
  Expression rest = ends ? sequence({}) : repeat(sequence({comma(), other}), 0, 0);
  for (u32 i = std::min(counted, ends ? most : counted); i-- > 0;) {
    const Expression with = sequence({i == 0 ? sequence({}) : comma(), item(i), rest});
    rest = i < form.least ? with : optional(with);
  }
  if (counted == 0) rest = optional(sequence({other, rest}));
  return in_brackets(rest);
}

/// A rule for each number of items so far and of those that `contains` is about. With a bound
/// above, the others are such that cannot be among them.
Expression SchemaCompiler::containing_list(const ListForm& form, const Json& schema,
                                           const std::string& path, int depth) {
  const u32 needed = count(schema, "minContains", path, 1);
  const bool bounded = schema.contains("maxContains");
  const u32 allowed = count(schema, "maxContains", path, 0);
  if (bounded && allowed < needed) nothing(path, "allows no list");
  // At least the first one, which has no comma before it.
  const u32 counted =
      std::max({form.least, form.most.value_or(0), static_cast<u32>(form.places), 1U});
  const u32 contained = bounded ? allowed : needed;
  if (counted > kMostCountedItems || contained > kMostContained)
    refuse(path, fmt::format("contains in lists with a bound above {}, or more than {} times",
                             kMostCountedItems, kMostContained));
  const Json& wanted = schema["contains"];
  const Json others = bounded ? negated(wanted, scope(path)) : Json(true);
  // Of each place, an item of either kind; the last one is of all behind.
  std::vector<std::optional<Expression>> plain;
  std::vector<std::optional<Expression>> special;
  for (u32 place = 0; place <= form.places; ++place) {
    const Json& said = form.said_of(schema, place);
    const auto of = [&](const Json& more) {
      return more == true ? if_any_named(said, path + "/items", depth)
                          : if_any_named(merged(said, more, path), path + "/contains", depth);
    };
    plain.push_back(of(others));
    special.push_back(of(wanted));
  }
  std::map<std::pair<u32, u32>, std::optional<Expression>> rests;
  // What may come behind `had` items with `found` among them, and where lists have no end, once
  // they are past all bounds, the same rule again.
  const auto rest = [&](const auto& self, u32 had, u32 found) -> std::optional<Expression> {
    const std::pair<u32, u32> key(had, found);
    if (const auto known = rests.find(key); known != rests.end()) return known->second;
    const std::size_t number = rules_.bodies.size();
    const bool loops = had == counted && !form.most;
    if (loops) {
      rules_.bodies.push_back(any_of({}));
      rests[key] = rule(number);
    }
    std::vector<Expression> forms;
    if (had >= form.least && found >= needed) forms.push_back(sequence({}));
    const auto add = [&](const std::optional<Expression>& item, u32 then_found) {
      if (!item || (form.most && had >= *form.most)) return;
      const auto behind = self(self, std::min(had + 1, counted), then_found);
      if (behind) forms.push_back(sequence({had == 0 ? sequence({}) : comma(), *item, *behind}));
    };
    const std::size_t place = std::min<std::size_t>(had, form.places);
    add(plain[place], found);
    if (found < contained || !bounded) add(special[place], std::min(found + 1, contained));
    const auto out = forms.empty() ? std::nullopt : std::optional(any_of(std::move(forms)));
    if (loops && out) {
      rules_.bodies[number] = *out;
      return rule(number);
    }
    return rests[key] = out;
  };
  const auto items = rest(rest, 0, 0);
  if (!items) nothing(path, "allows no list");
  return in_brackets(*items);
}

/// No two places can hold the same value.
bool SchemaCompiler::are_unlike(const ListForm& form, const Json& schema,
                                const std::string& path) const {
  const u32 places = form.most.value_or(kMaxCopies);
  if (places > form.places || places > kMostUnlikePlaces) return false;
  for (u32 i = 0; i < places; ++i)
    for (u32 j = 0; j < i; ++j)
      if (!are_disjoint(schema["prefixItems"][i], schema["prefixItems"][j], scope(path)))
        return false;
  return true;
}

/// Each of few values once, in any order; of many, in the order in which they are listed.
Expression SchemaCompiler::unique_list(const std::vector<Json>& values, u32 least,
                                       std::optional<u32> most, const std::string& path) {
  const u32 all = static_cast<u32>(values.size());
  const u32 bound = std::min(most.value_or(all), all);
  if (least > bound) nothing(path, "allows no list");
  if (bound == 0) return empty_list();
  if (values.size() > kMostAnyOrder) return in_brackets(values_in_order(values, least, bound));
  const std::size_t first = rules_.bodies.size();
  const u32 sets = 1U << all;
  rules_.bodies.resize(first + sets, any_of({}));
  for (u32 used = 0; used < sets; ++used) {
    const u32 had = static_cast<u32>(__builtin_popcount(used));
    std::vector<Expression> forms;
    if (had >= least) forms.push_back(sequence({}));
    for (u32 i = 0; i < all && had < bound; ++i)
      if ((used >> i & 1U) == 0)
        forms.push_back(sequence({had == 0 ? sequence({}) : comma(), literal(values[i].dump()),
                                  rule(first + (used | 1U << i))}));
    rules_.bodies[first + used] = any_of(std::move(forms));
  }
  return in_brackets(rule(first));
}

Expression SchemaCompiler::values_in_order(const std::vector<Json>& values, u32 least, u32 most) {
  // [number of those that came before]: what can still come of the values from one on
  std::vector<std::optional<Expression>> behind(most + 1);
  for (u32 had = least; had <= most; ++had) behind[had] = sequence({});
  for (std::size_t i = values.size(); i-- > 0;)
    for (u32 had = 0; had < most; ++had) {
      if (!behind[had + 1]) continue;
      const Expression with = sequence(
          {had == 0 ? sequence({}) : comma(), literal(values[i].dump()), *behind[had + 1]});
      behind[had] = behind[had] ? any_of({with, *behind[had]}) : with;
    }
  return *behind[0];
}

} // namespace talaria::model::grammar
