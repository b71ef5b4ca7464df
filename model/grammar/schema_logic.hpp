#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "model/grammar/schema_merge.hpp"

namespace talaria::model::grammar {

/// What schemas stand in: how a reference is followed, how a keyword is refused, and what may still
/// be spent on the document.
struct SchemaScope {
  SchemaResolver resolve;
  SchemaRefuser refuse;
  MatchCosts& costs;
};

/// Keywords of our own, which merged_schemas() and negated() leave: patterns that a value has to
/// match all of, and patterns and values that it must not match.
inline constexpr const char* kPatterns = "$patterns";
inline constexpr const char* kNotEnum = "$notEnum";
inline constexpr const char* kNotPatterns = "$notPatterns";

/// Equal as values: members in any order, 1 and 1.0.
bool same_value(const SchemaJson& a, const SchemaJson& b);

/// A schema that values match which do not match this one: all of them, but for fractions among
/// what is no integer. It may hold a `not` around parts of the schema.
/// Refuses what cannot be turned round, by its keyword.
SchemaJson negated(const SchemaJson& schema, const SchemaScope& scope);

/// Whether no value can match both. False if that cannot be seen from types, constants, bounds or
/// the members that both require.
bool are_disjoint(const SchemaJson& a, const SchemaJson& b, const SchemaScope& scope);

/// All values that match, each once, if they are constants, Booleans, null or few integers.
std::optional<std::vector<SchemaJson>> finite_values(const SchemaJson& schema,
                                                     const SchemaScope& scope);

} // namespace talaria::model::grammar
