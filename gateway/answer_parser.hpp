#pragma once

#include <optional>
#include <string_view>

#include "gateway/thoughts.hpp"
#include "gateway/tool_calls.hpp"

namespace talaria::gateway {

/// What answers of one request may hold besides text.
struct AnswerContents {
  std::optional<ToolSyntax> calls; ///< nothing: whatever looks like a call is text
  bool parallel = true;            ///< false: the first call is the only one that is given
  bool thoughts = false;           ///< between <think> and </think>
  bool any() const noexcept { return calls || thoughts; }
};

/// Parts an answer that comes piece by piece into thoughts, text and calls.
class AnswerParser {
public:
  /// @param inside_thoughts  the prompt ends in them (ends_in_thoughts)
  AnswerParser(const AnswerContents& contents, bool inside_thoughts);
  AnswerParts push(std::string_view piece);
  /// What was held back, at the end of the answer.
  AnswerParts finish();
  /// What comes next belongs to what the model thinks, as far as is known.
  bool thinks() const noexcept;

private:
  AnswerParts with_calls(AnswerParts parts, bool at_end);

  std::optional<Thoughts> thoughts_;
  std::optional<ToolCallFinder> calls_;
};

} // namespace talaria::gateway
