#pragma once

#include <optional>
#include <vector>

#include "model/grammar/expression.hpp"

namespace talaria::model::grammar {

/// Texts that all of `all_of` have and none of `none_of`, as rules that are put behind those of
/// `rules`: one for each state of a finite automaton, each of which can still reach an end. What
/// is given has to be regular, or nearly so: a state is a set of places of each of them.
/// @param all_of   at least one
/// @return what calls them; nothing if there is no such text
/// @throws Error{usage} for more than kMaxRegularStates states
std::optional<Expression> regular(Rules& rules, const std::vector<Rules>& all_of,
                                  const std::vector<Rules>& none_of);

inline constexpr std::size_t kMaxRegularStates = 8192;

} // namespace talaria::model::grammar
