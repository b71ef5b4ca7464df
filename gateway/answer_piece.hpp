#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/integers.hpp"
#include "gateway/tool_calls.hpp"
#include "model/token_scores.hpp"

namespace talaria::gateway {

/// Something of an answer that became certain.
struct AnswerPiece {
  std::string text;
  std::vector<model::TokenScores> scores; ///< of the tokens it came of, if they are asked for
  std::vector<ToolCall> calls;

  bool empty() const noexcept { return text.empty() && scores.empty() && calls.empty(); }
};

/// A whole answer.
struct WholeAnswer {
  std::string text; ///< with the prompt before it, if that is asked for
  std::vector<ToolCall> calls;
  const char* reason = "stop";
  std::string stopped_by;              ///< a stop string of the request
  std::optional<u32> stopped_by_token; ///< a stop token of the request
  std::optional<std::vector<model::TokenScores>> scores;
  std::vector<u32> prompt; ///< for scores and ids of the prompt
  std::optional<std::vector<model::TokenScores>> prompt_scores; ///< from its second token on
  std::vector<u32> tokens;
};

} // namespace talaria::gateway
