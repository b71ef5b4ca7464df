#pragma once

#include <string_view>

#include "model/jinja/value.hpp"

namespace talaria::model::jinja {

/// + - * / // % ** and ~, as Python computes them.
Value arithmetic(std::string_view sign, const Value& left, const Value& right, const Site& site);
/// == != < <= > >= in, not in.
bool compare(std::string_view sign, const Value& left, const Value& right, const Site& site);
/// -1, 0 or 1, as < in Python; `sign` is named where they have no order.
int order(std::string_view sign, const Value& left, const Value& right, const Site& site);
/// not, - and +.
Value negate(std::string_view sign, const Value& operand, const Site& site);

/// value.name
Value attribute(const Value& value, const std::string& name, const Site& site);
/// value[index]
Value item(const Value& value, const Value& index, const Site& site);
/// value[start:stop:step]; none for a missing bound.
Value slice(const Value& value, const Value& start, const Value& stop, const Value& step,
            const Site& site);

} // namespace talaria::model::jinja
