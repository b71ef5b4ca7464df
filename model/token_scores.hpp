#pragma once

#include <span>
#include <vector>

#include "core/integers.hpp"

namespace talaria::model {

/// How likely the model held a token to be, by its logits alone: no temperature, no penalty.
struct TokenScore {
  u32 token = 0;
  float logprob = 0; ///< natural logarithm; minus infinity for a logit of minus infinity
  u32 rank = 0;      ///< 1 + tokens with a larger logit
};

/// One place of a text: the token that stands there, and the likeliest in its place.
struct TokenScores {
  TokenScore chosen;
  std::vector<TokenScore> top; ///< likeliest first, equal ones by id
};

/// The most likely tokens that one may ask for.
inline constexpr u32 kMaxTopScores = 20;

/// ln softmax in double precision, rounded once to float. Looks at what is where: not for oblivious
/// sampling.
/// @param logits  [vocab], none NaN, one finite  @param token  < vocab
/// @param top     how many of the likeliest
TokenScores score_token(std::span<const float> logits, u32 token, u32 top);

} // namespace talaria::model
