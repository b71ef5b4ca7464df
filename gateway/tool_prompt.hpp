#pragma once

#include <string_view>
#include <vector>

#include "model/chat_template.hpp"

namespace talaria::gateway {

/// Writes tools and calls that a template has no place for into the messages, in the words of
/// Hermes (ToolSyntax::hermes), which most models without a way of their own have met. What the
/// template knows is left to it.
void write_tools_by_hand(std::string_view template_source,
                         std::vector<model::ChatMessage>& messages, model::ChatOptions& options);

} // namespace talaria::gateway
