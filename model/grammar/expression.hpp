#pragma once

#include <bitset>
#include <memory>
#include <string_view>
#include <vector>

#include "core/integers.hpp"

namespace talaria::model::grammar {

using ByteSet = std::bitset<256>;

/// A part of a grammar over bytes. Immutable, shared.
struct Node;
using Expression = std::shared_ptr<const Node>;

struct Node {
  enum class Kind : u8 { bytes, sequence, any_of, repeat, rule };
  Kind kind = Kind::sequence;
  ByteSet bytes{};                 ///< one of these
  std::vector<Expression> parts{}; ///< of sequence, any_of; the one of repeat
  u32 least = 0, most = 0;         ///< of repeat; most 0: no bound
  std::size_t rule = 0;            ///< by number
  u32 depth = 1;                   ///< of parts within parts
};

/// The most copies that a bounded repetition may have.
inline constexpr u32 kMaxCopies = 4096;
/// The most parts within parts: the end of an expression is that of its parts, a recursion, and
/// what a client writes may not decide how far it goes. A list whose every item is optional has two
/// for each of them.
inline constexpr u32 kDeepestExpression = 10'000;

// The functions below throw Error{usage} for an expression that is deeper than kDeepestExpression.
// The empty text has one form, an empty sequence, and is left out of sequences: every other
// expression stands for something, so that no number of copies costs time without showing in the
// size of an automaton.

Expression one_of(const ByteSet& bytes);
Expression byte_range(u8 first, u8 last);
Expression literal(std::string_view text);
Expression sequence(std::vector<Expression> parts); ///< empty: the empty text
Expression any_of(std::vector<Expression> parts);   ///< empty: nothing fits
/// `part` from `least` to `most` times; `most` 0: without a bound.
/// @throws Error{usage} for more than kMaxCopies
Expression repeat(Expression part, u32 least, u32 most);
inline Expression optional(Expression part) {
  return repeat(std::move(part), 0, 1);
}
Expression rule(std::size_t number);

/// What a text has to be: rule 0. Rules may call each other, so that texts nest.
struct Rules {
  std::vector<Expression> bodies;
};

} // namespace talaria::model::grammar
