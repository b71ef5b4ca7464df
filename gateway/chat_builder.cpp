#include "gateway/chat_builder.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

namespace talaria::gateway {

namespace {

constexpr std::string_view kAssistant = "assistant";

std::string quoted_json(std::string_view text) {
  return nlohmann::json(text).dump();
}

void add_line(std::string& to, const std::string& text, bool is_first) {
  if (!is_first) to += '\n';
  to += text;
}

} // namespace

/// The assistant's message that is still open, or a new one.
ChatBuilder::Message& ChatBuilder::assistant() {
  if (ended_ || messages_.empty() || messages_.back().role != kAssistant)
    messages_.push_back({std::string(kAssistant)});
  ended_ = false;
  return messages_.back();
}

void ChatBuilder::add_text(std::string_view role, std::string text, Join join) {
  const bool same = !ended_ && !messages_.empty() && messages_.back().role == role;
  const bool goes_on = same && (join == Join::yes || !messages_.back().has_text) &&
                       (join == Join::yes || messages_.back().calls.empty());
  if (!goes_on) messages_.push_back({std::string(role)});
  ended_ = false;
  Message& message = messages_.back();
  add_line(message.text, text, !std::exchange(message.has_text, true));
}

void ChatBuilder::add_reasoning(std::string text) {
  const bool goes_on = !messages_.empty() && messages_.back().role == kAssistant &&
                       !messages_.back().has_text && messages_.back().calls.empty();
  ended_ = ended_ || !goes_on;
  Message& message = assistant();
  add_line(message.reasoning, text, message.reasoning.empty());
}

void ChatBuilder::add_call(std::string_view id, std::string_view name, std::string_view arguments) {
  std::string& calls = assistant().calls;
  if (!calls.empty()) calls += ',';
  calls += fmt::format(R"({{"id":{},"type":"function","function":{{"name":{},"arguments":{}}}}})",
                       quoted_json(id), quoted_json(name), arguments);
}

void ChatBuilder::add_result(std::string_view call_id, std::string text) {
  messages_.push_back({"tool", std::move(text), true, {}, {}, std::string(call_id)});
  ended_ = false;
}

std::vector<model::ChatMessage> ChatBuilder::take() {
  std::vector<model::ChatMessage> out;
  out.reserve(messages_.size());
  for (Message& message : messages_) out.push_back(finished(std::move(message)));
  messages_.clear();
  return out;
}

model::ChatMessage ChatBuilder::finished(Message message) {
  std::string fields;
  const auto add = [&fields](const char* name, const std::string& value) {
    fields += fmt::format("{}\"{}\":{}", fields.empty() ? "" : ",", name, value);
  };
  if (!message.reasoning.empty()) add("reasoning_content", quoted_json(message.reasoning));
  if (!message.calls.empty()) add("tool_calls", "[" + message.calls + "]");
  if (!message.result_of.empty()) add("tool_call_id", quoted_json(message.result_of));
  if (!fields.empty()) fields = "{" + fields + "}";
  return {std::move(message.role), std::move(message.text), std::move(fields)};
}

} // namespace talaria::gateway
