#include "cli/chat/conversation.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace talaria::cli {

bool Conversation::has_system() const noexcept {
  return !messages_.empty() && messages_.front().role == "system";
}

bool Conversation::is_fresh() const noexcept {
  return messages_.size() == (has_system() ? 1U : 0U);
}

void Conversation::set_system(const std::string& text) {
  if (has_system()) messages_.erase(messages_.begin());
  if (!text.empty()) messages_.insert(messages_.begin(), {"system", text});
}

void Conversation::take_back() {
  if (!messages_.empty() && messages_.back().role == "user") messages_.pop_back();
}

void Conversation::reset() {
  messages_.resize(has_system() ? 1 : 0);
}

std::string Conversation::to_markdown() const {
  std::string out;
  for (const auto& message : messages_)
    out += fmt::format("{}## {}\n\n{}\n", out.empty() ? "" : "\n", message.role, message.content);
  return out;
}

std::string Conversation::to_json() const {
  auto list = nlohmann::ordered_json::array();
  for (const auto& message : messages_)
    list.push_back({{"role", message.role}, {"content", message.content}});
  return list.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

} // namespace talaria::cli
