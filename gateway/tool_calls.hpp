#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/integers.hpp"

namespace talaria::gateway {

/// A call of a tool that a model's answer holds.
struct ToolCall {
  std::string id;
  std::string name;
  std::string arguments; ///< the text of a JSON object
};

/// How families of models write calls.
enum class ToolSyntax : u8 {
  hermes,   ///< <tool_call>{"name": ..., "arguments": {...}}</tool_call>: Hermes, Qwen
  llama,    ///< {"name": ..., "parameters": {...}}, several with ';' between: Llama 3
  pythonic, ///< [name(key=value), ...]: Llama 3.2 and 4
  mistral,  ///< [TOOL_CALLS][{"name": ..., "arguments": {...}}, ...], or name{...}: Mistral
};

/// What a chat template tells its model to write; hermes if it says nothing of tools.
ToolSyntax tool_syntax_of(std::string_view template_source);
/// True if its markers are special tokens, which then have to be text of the answer.
bool marks_calls_by_special_tokens(ToolSyntax syntax) noexcept;

/// What is certain of an answer so far.
struct AnswerParts {
  std::string text;
  std::vector<ToolCall> calls;
};

/// Finds the calls in an answer that comes piece by piece. Text that is no call, or does not become
/// one, is given as it came, so that nothing of an answer is lost; a call comes when it is
/// complete.
class ToolCallFinder {
public:
  /// @param parallel  false: the answer's first call is the only one that is given
  ToolCallFinder(ToolSyntax syntax, bool parallel);
  AnswerParts push(std::string_view piece);
  /// What was held back, at the end of the answer.
  AnswerParts finish();
  /// Calls given so far.
  std::size_t calls() const noexcept { return count_; }

private:
  AnswerParts take_marked(bool at_end);
  AnswerParts take_whole();
  void add(AnswerParts& parts, std::vector<ToolCall> calls);

  ToolSyntax syntax_;
  bool parallel_;
  std::string held_;
  bool passes_ = false; ///< the answer is text to its end
  std::size_t count_ = 0;
};

} // namespace talaria::gateway
