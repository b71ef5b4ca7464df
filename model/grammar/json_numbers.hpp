#pragma once

#include <optional>

#include "model/grammar/expression.hpp"

namespace talaria::model::grammar {

/// One end of a range of numbers.
struct NumberBound {
  double value = 0;
  bool open = false; ///< the value itself is outside
};

/// JSON numbers of at most 15 digits before the point and 15 behind it, which a double tells apart
/// from the bounds. Between bounds that are no integers the fractions before the first and behind
/// the last integer are left out.
/// @param integer  without fractions
/// @return nothing if there are none
std::optional<Expression> json_numbers(std::optional<NumberBound> low,
                                       std::optional<NumberBound> high, bool integer);

/// Any number, with an exponent of at most two digits.
Expression any_json_number();

} // namespace talaria::model::grammar
