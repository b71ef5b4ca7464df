#pragma once

#include <optional>
#include <vector>

#include "model/grammar/json_numbers.hpp"

namespace talaria::model::grammar {

/// What a number has to be beside its bounds.
struct NumberForm {
  std::optional<NumberBound> low{};
  std::optional<NumberBound> high{};
  bool integer = false;
  std::optional<double> multiple_of{}; ///< above 0
  std::vector<double> others_than{};   ///< values that it is not
};

/// The most multiples of a fraction that are written down one by one.
inline constexpr u32 kMostMultiples = 4096;

/// JSON numbers of this form. Whole multiples follow an automaton over the digits modulo what is
/// left of the divisor without its tens, up to 256; so do those of a divisor that is exact in
/// binary (0.5, 0.25, 2.5), up to 8 digits before the point. Of other divisors (0.1, 0.01) the
/// multiples between the bounds are written down, without those that no division of doubles takes
/// for a multiple (0.07 of 0.01): validators divide.
/// @param rules  gets rules behind those that there are
/// @return nothing if there is no such number
/// @throws Error{usage} for multiples that cannot be had
std::optional<Expression> json_numbers(Rules& rules, const NumberForm& form);

} // namespace talaria::model::grammar
