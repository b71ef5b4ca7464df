#include "model/token_scores.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.hpp"
#include "model/scores.hpp"

namespace talaria::model {

namespace {

std::vector<u32> likeliest(std::span<const float> logits, std::size_t count) {
  std::vector<u32> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0U);
  const auto better = [&](u32 a, u32 b) {
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
  };
  const auto end = ids.begin() + static_cast<std::ptrdiff_t>(std::min(count, ids.size()));
  std::partial_sort(ids.begin(), end, ids.end(), better);
  ids.erase(end, ids.end());
  return ids;
}

} // namespace

TokenScores score_token(std::span<const float> logits, u32 token, u32 top) {
  if (token >= logits.size()) throw Error(Errc::internal, "a token id lies outside the logits");
  const double best = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += scores::exp_fixed(double{logit} - best);
  const double all = std::log(sum);
  const auto score = [&](u32 id) {
    const auto larger = std::count_if(logits.begin(), logits.end(),
                                      [&](float other) { return other > logits[id]; });
    return TokenScore{id, static_cast<float>(double{logits[id]} - best - all),
                      1 + static_cast<u32>(larger)};
  };
  TokenScores out{score(token), {}};
  if (top > 0)
    for (const u32 id : likeliest(logits, top)) out.top.push_back(score(id));
  return out;
}

} // namespace talaria::model
