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

/// What became certain of a call: its beginning, more of its arguments, its end, or all at once.
struct CallPiece {
  std::string id;        ///< with the beginning
  std::string name;      ///< the same
  std::string arguments; ///< what comes next of them
  bool begins = true;
  bool ends = true;
};

/// A piece put behind the pieces before it.
void add_piece(std::vector<ToolCall>& calls, CallPiece piece);

/// How families of models write calls.
enum class ToolSyntax : u8 {
  hermes,   ///< <tool_call>{"name": ..., "arguments": {...}}</tool_call>: Hermes, Qwen
  llama,    ///< {"name": ..., "parameters": {...}}, several with ';' between: Llama 3
  pythonic, ///< [name(key=value), ...]: Llama 3.2 and 4
  mistral,  ///< [TOOL_CALLS][{"name": ..., "arguments": {...}}, ...], or name{...}: Mistral
  deepseek, ///< between markers NAME and {...}, which may stand in ```json: DeepSeek V3, R1
  harmony,  ///< an answer is messages on channels, of which some are for tools: gpt-oss
};

/// What a chat template tells its model to write; hermes if it says nothing of tools.
ToolSyntax tool_syntax_of(std::string_view template_source);
/// True if its markers are special tokens, which then have to be text of the answer.
bool marks_calls_by_special_tokens(ToolSyntax syntax) noexcept;
/// True if there is more than text in answers even of requests without tools.
bool marks_all_answers(ToolSyntax syntax) noexcept;

/// What is certain of an answer so far.
struct AnswerParts {
  std::string text;
  std::vector<CallPiece> calls;
  std::string reasoning; ///< what the model thinks before it answers
};

} // namespace talaria::gateway
