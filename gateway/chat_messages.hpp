#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "model/chat_template.hpp"

namespace talaria::gateway {

/// The list `messages` of a chat request, as templates take it: role developer becomes system, an
/// assistant's missing content the empty text, a refusal what the assistant said. What SDKs send
/// back of an answer (refusal, annotations, audio, tool_calls that are null or empty) and what says
/// nothing to a model (cache_control) is checked and left out. Calls of tools, tool_call_id, name
/// and reasoning_content are for the template, arguments as the objects that their texts are.
/// @throws ApiError 400 naming the first part that is wrong or not supported
std::vector<model::ChatMessage> chat_messages(const std::string& field,
                                              const nlohmann::json& value);

} // namespace talaria::gateway
