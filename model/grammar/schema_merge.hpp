#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "core/error.hpp"

namespace talaria::model::grammar {

using SchemaJson = nlohmann::ordered_json;

/// No value matches a schema, or a part of it.
class NoValue : public Error {
public:
  explicit NoValue(const std::string& what) : Error(Errc::usage, what) {}
};

/// Keywords that say nothing about values.
bool is_note(const std::string& keyword);

/// A schema that values match which match both; what says nothing about values is left out.
/// References stay references.
/// @param refuse  throws for a keyword that cannot be had of both
SchemaJson merged_schemas(const SchemaJson& a, const SchemaJson& b,
                          const std::function<void(const std::string& keyword)>& refuse);

/// Whether a pattern of JSON Schema is found in a text.
/// @throws Error{usage} for a pattern that cannot be honoured
bool matches_pattern(const std::string& text, const std::string& pattern);

/// Whether a value matches a schema.
/// @param resolve  what a reference points to
/// @param refuse   throws for a keyword that is not known
bool matches_schema(const SchemaJson& value, const SchemaJson& schema,
                    const std::function<SchemaJson(const SchemaJson& reference)>& resolve,
                    const std::function<void(const std::string& keyword)>& refuse);

} // namespace talaria::model::grammar
