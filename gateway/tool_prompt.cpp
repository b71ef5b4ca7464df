#include "gateway/tool_prompt.hpp"

#include <string>

#include "gateway/raw_json.hpp"

namespace talaria::gateway {

namespace {

/// What Qwen2.5's template writes.
std::string preamble(const std::string& tools) {
  std::string out = "# Tools\n\nYou may call one or more functions to assist with the user query."
                    "\n\nYou are provided with function signatures within <tools></tools> XML tags:"
                    "\n<tools>";
  for (const std::string_view tool : raw_elements(tools)) out += "\n" + std::string(tool);
  return out + "\n</tools>\n\nFor each function call, return a json object with function name and "
               "arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": "
               "<function-name>, \"arguments\": <args-json-object>}\n</tool_call>";
}

void write_calls(model::ChatMessage& message) {
  for (const std::string_view call :
       raw_elements(raw_member(message.fields, "tool_calls").value_or(""))) {
    const std::string_view function = raw_member(call, "function").value_or("");
    message.content += message.content.empty() ? "<tool_call>" : "\n<tool_call>";
    message.content += "\n{\"name\": ";
    message.content += raw_member(function, "name").value_or("");
    message.content += ", \"arguments\": ";
    message.content += raw_member(function, "arguments").value_or("{}");
    message.content += "}\n</tool_call>";
  }
}

} // namespace

void write_tools_by_hand(std::string_view source, std::vector<model::ChatMessage>& messages,
                         model::ChatOptions& options) {
  if (source.find("tool_calls") == std::string_view::npos)
    for (auto& message : messages) write_calls(message);
  if (options.tools.empty() || source.find("tools") != std::string_view::npos) return;
  const std::string text = preamble(options.tools);
  if (messages.front().role == "system")
    messages.front().content += "\n\n" + text;
  else
    messages.insert(messages.begin(), {"system", text});
  options.tools.clear();
}

} // namespace talaria::gateway
