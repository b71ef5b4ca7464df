#include "gateway/chat_prompt.hpp"

#include <nlohmann/json.hpp>

#include "gateway/raw_json.hpp"
#include "gateway/tool_prompt.hpp"

namespace talaria::gateway {

namespace {

/// For templates that scale or switch their model's reasoning.
void tell_reasoning_effort(const ApiRequest& request, std::string_view source,
                           std::string& variables) {
  std::string field;
  if (source.find("reasoning_effort") != std::string_view::npos)
    field = "\"reasoning_effort\":" + nlohmann::json(request.reasoning_effort).dump();
  else if (source.find("enable_thinking") != std::string_view::npos)
    field = std::string("\"enable_thinking\":") +
            (request.reasoning_effort == "none" ? "false" : "true");
  if (field.empty() ||
      raw_member(variables, std::string_view(field).substr(1, field.find(':') - 2)))
    return;
  variables = variables.empty() ? "{" + field + "}" : "{" + field + "," + variables.substr(1);
}

} // namespace

std::vector<u32> chat_tokens(ApiRequest& request, const model::ChatEncoder& chat,
                             std::size_t most) {
  const std::string& source = chat.chat().source();
  model::ChatOptions& options = request.chat;
  if (!options.documents.empty() && source.find("documents") == std::string::npos)
    throw bad_field("documents", "the model's chat template has no place for documents");
  if (!request.reasoning_effort.empty()) tell_reasoning_effort(request, source, options.variables);
  write_tools_by_hand(source, request.messages, options);
  return chat.encode(request.messages, most, options);
}

} // namespace talaria::gateway
