#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/integers.hpp"
#include "gateway/tool_call.hpp"
#include "model/token_scores.hpp"
#include "pipeline/request.hpp"

namespace talaria::gateway {

/// Something of an answer that became certain.
struct AnswerPiece {
  std::string text;
  std::vector<model::TokenScores> scores; ///< of the tokens it came of, if they are asked for
  std::vector<CallPiece> calls;
  std::string reasoning{}; ///< what the model thinks, which comes before text and calls

  bool empty() const noexcept {
    return text.empty() && scores.empty() && calls.empty() && reasoning.empty();
  }
};

/// How an answer ended.
struct AnswerEnd {
  AnswerEnd(pipeline::FinishReason why = pipeline::FinishReason::stop, std::string by = {},
            std::optional<u32> by_token = {})
      : reason(why), stopped_by(std::move(by)), stopped_by_token(by_token) {}

  bool is_cut() const noexcept { return reason == pipeline::FinishReason::length; }

  pipeline::FinishReason reason;
  std::string stopped_by;              ///< a stop string of the request
  std::optional<u32> stopped_by_token; ///< a stop token of the request
};

/// A whole answer.
struct WholeAnswer {
  std::string text; ///< with the prompt before it, if that is asked for
  std::vector<ToolCall> calls;
  std::string reasoning;
  AnswerEnd end;
  std::optional<std::vector<model::TokenScores>> scores;
  std::vector<u32> prompt; ///< for scores and ids of the prompt
  std::optional<std::vector<model::TokenScores>> prompt_scores; ///< from its second token on
  std::vector<u32> tokens;
  std::vector<float> pooled; ///< the embedding or score, in the place of all that
};

} // namespace talaria::gateway
