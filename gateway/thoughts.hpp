#pragma once

#include <string>
#include <string_view>

#include "gateway/tool_call.hpp"

namespace talaria::gateway {

/// True if a template's model writes what it thinks between <think> and </think>: DeepSeek R1,
/// Qwen3, SmolLM3 and others.
bool thinks_in_tags(std::string_view template_source) noexcept;
/// True if a prompt ends inside the tags, so that the answer begins with what the model thinks:
/// some templates write the opening tag themselves.
bool ends_in_thoughts(std::string_view prompt) noexcept;

/// Parts an answer that comes piece by piece into what the model thinks and what it answers.
/// Thoughts stand at the beginning of an answer or nowhere; a later <think> is text. Blanks beside
/// the tags belong to neither.
class Thoughts {
public:
  /// @param inside  the prompt has opened the tag
  explicit Thoughts(bool inside) : state_(inside ? State::begin_inside : State::before) {}

  /// `text` and `reasoning`, no calls.
  AnswerParts push(std::string_view piece);
  /// What was held back, at the end of the answer.
  AnswerParts finish();
  /// What comes next belongs to what the model thinks, as far as is known.
  bool inside() const noexcept { return state_ == State::begin_inside || state_ == State::inside; }

private:
  enum class State : u8 { before, begin_inside, inside, behind, text };
  bool step(AnswerParts& parts, bool at_end);

  State state_;
  std::string held_;
};

} // namespace talaria::gateway
