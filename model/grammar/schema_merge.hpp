#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "core/error.hpp"
#include "model/grammar/automaton.hpp"

namespace talaria::model::grammar {

using SchemaJson = nlohmann::ordered_json;

/// No value matches a schema, or a part of it.
class NoValue : public Error {
public:
  explicit NoValue(const std::string& what) : Error(Errc::usage, what) {}
};

/// Keywords that say nothing about values.
bool is_note(const std::string& keyword);

/// What it may cost to hold the values of one document to its schemas, all of them together: a
/// client chooses how many there are of both, which multiply.
class MatchCosts {
public:
  /// False: no more can be paid. A step is a schema that one value is held to.
  bool pay(std::size_t steps) noexcept {
    left_ -= std::min(left_, steps);
    return left_ > 0;
  }

  std::map<std::string, std::unique_ptr<Automaton>> patterns; ///< compiled once each

private:
  std::size_t left_ = 200'000;
};

/// What a reference points to.
using SchemaResolver = std::function<const SchemaJson&(const SchemaJson& reference)>;
/// Throws for a keyword.
using SchemaRefuser = std::function<void(const std::string& keyword)>;

/// A schema that values match which match both; what says nothing about values is left out.
/// References stay references.
/// @param refuse  throws for a keyword that cannot be had of both
SchemaJson merged_schemas(const SchemaJson& a, const SchemaJson& b, MatchCosts& costs,
                          const SchemaRefuser& refuse);

/// Whether a pattern of JSON Schema is found in a text.
/// @param refuse  throws if the costs are too high
/// @throws Error{usage} for a pattern that cannot be honoured
bool matches_pattern(const std::string& text, const std::string& pattern, MatchCosts& costs,
                     const SchemaRefuser& refuse);

/// Whether a value matches a schema.
/// @param refuse  throws for a keyword that is not known, or if the costs are too high
bool matches_schema(const SchemaJson& value, const SchemaJson& schema, MatchCosts& costs,
                    const SchemaResolver& resolve, const SchemaRefuser& refuse);

} // namespace talaria::model::grammar
