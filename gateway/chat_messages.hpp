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

/// What a call was made with: the member `arguments` of an object, which holds an object, or the
/// text of one; {} if there is none. @throws ApiError 400 naming `path`
std::string call_arguments(const std::string& path, const nlohmann::json& object);

/// True for a member of a part that says how it is kept or shown (cache_control, annotations),
/// false for one that would be content of another kind, which nobody would read.
bool may_stand_beside_text(const std::string& key);

} // namespace talaria::gateway
