#pragma once

#include <utility>
#include <vector>

#include "model/grammar/expression.hpp"

namespace talaria::model::grammar {

inline constexpr u32 kLastCharacter = 0x10FFFF;

/// Ranges of characters by number, each from its first to its last, in any order.
using CodePoints = std::vector<std::pair<u32, u32>>;

/// One of these characters in UTF-8, or with `others` one of the others. Surrogates are none.
Expression characters(CodePoints set, bool others);

/// The characters from `first` on that are not in `set`, as ranges in rising order with gaps
/// between them.
CodePoints complement(CodePoints set, u32 first);

} // namespace talaria::model::grammar
