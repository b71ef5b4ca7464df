#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "model/tokenization/pattern.hpp"

namespace talaria::model {

/// What becomes of the matches when a Split pre-tokenizer cuts a text.
enum class SplitBehavior { isolated, removed, contiguous, merged_with_previous, merged_with_next };

/// The [begin, end) of the pieces that stay, in order; some may be empty.
std::vector<std::pair<std::size_t, std::size_t>> arrange(const std::vector<Span>& spans,
                                                         SplitBehavior behavior);

} // namespace talaria::model
