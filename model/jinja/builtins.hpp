#pragma once

#include <string>

#include "model/jinja/arguments.hpp"

namespace talaria::model::jinja {

/// value | name(arguments)
Value apply_filter(const std::string& name, const Value& value, const ArgumentValues& arguments,
                   const Site& site);
/// value is name(arguments)
bool apply_test(const std::string& name, const Value& value, const ArgumentValues& arguments,
                const Site& site);
/// Whether `value` has methods here; otherwise its attributes are called like any value.
bool has_method(const Value& value, const std::string& name);
/// value.name(arguments) for which has_method() is true.
Value call_method(const Value& value, const std::string& name, const ArgumentValues& arguments,
                  const Site& site);

} // namespace talaria::model::jinja
