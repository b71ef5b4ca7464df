#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "core/integers.hpp"

namespace talaria::gateway {

/// What became of a request for answers, for traces: numbers and reasons, nothing of any content.
struct AnswerReport {
  using Time = std::chrono::steady_clock::time_point;

  bool chat = false; ///< a conversation, not /v1/completions
  // What was asked for.
  u32 choices = 1;
  u32 max_tokens = 0;
  float temperature = 0, top_p = 1;
  u32 top_k = 0;
  float frequency_penalty = 0, presence_penalty = 0;
  // What came of it.
  u64 cached_tokens = 0, reasoning_tokens = 0;
  std::vector<std::string> reasons; ///< why each answer ended that was begun
  std::string error;                ///< the kind of the first failure; empty: none
  // Of the first answer, as it stands for the others.
  std::optional<Time> submitted, started, first_token, last_token;
};

} // namespace talaria::gateway
