#pragma once

#include <cstddef>
#include <string_view>

#include "model/tokenizer.hpp"

namespace talaria::gateway {

/// Bytes that `text` (UTF-8) takes inside a JSON string as this server writes it: quotes,
/// backslashes and control characters are escaped, everything else is itself.
std::size_t escaped_size(std::string_view text) noexcept;

/// As many whole characters from the front of `text` as fit into `room` escaped bytes; at least
/// one.
std::string_view first_that_fits(std::string_view text, std::size_t room) noexcept;

/// The most escaped bytes that one token adds to an answer. Looks at the whole vocabulary.
std::size_t longest_token(const model::Tokenizer& tokenizer);

/// The size of a whole body that hides the exact size of its text: the next power of two, from
/// 1024.
std::size_t body_class(std::size_t bytes) noexcept;

} // namespace talaria::gateway
