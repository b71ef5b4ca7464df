#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "core/integers.hpp"

namespace talaria::model {

struct SamplingParameters {
  float temperature = 0; ///< 0: greedy
  float top_p = 1;       ///< (0, 1]
  u32 top_k = 0;         ///< 0: all
  /// > 0; 1: none. CTRL, arXiv 1909.05858: positive logits are divided, negative ones multiplied.
  float repetition_penalty = 1;
  u64 seed = 0;
  /// [0, 1]: tokens that are less likely than this part of the likeliest are left out. arXiv
  /// 2407.01082.
  float min_p = 0;
  float presence_penalty = 0;                      ///< [-2, 2], for tokens that the answer holds
  float frequency_penalty = 0;                     ///< [-2, 2], for each time that it does
  std::vector<std::pair<u32, float>> logit_bias{}; ///< [-100, 100] on the logits of ids, each once
  std::vector<u32> allowed{};                      ///< no other token; empty: any
  std::vector<std::vector<u32>> banned{};          ///< the answer holds none of these sequences
  u32 min_tokens = 0;                              ///< the answer holds none of `ends` before
  std::vector<u32> ends{};

  /// @throws Error{usage} naming the field and its range.
  void validate() const;
};

} // namespace talaria::model
