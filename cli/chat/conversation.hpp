#pragma once

#include <string>
#include <vector>

#include "model/chat_template.hpp"

namespace talaria::cli {

/// What was said so far, the system message first if there is one.
class Conversation {
public:
  const std::vector<model::ChatMessage>& messages() const noexcept { return messages_; }
  /// True if nobody but the system has said anything.
  bool is_fresh() const noexcept;

  /// Replaces the system message; empty: takes it out.
  void set_system(const std::string& text);
  void say(const std::string& text) { messages_.push_back({"user", text}); }
  void answer(const std::string& text) { messages_.push_back({"assistant", text}); }
  /// Takes back the last message of the user, who got no answer.
  void take_back();
  /// Forgets everything but the system message.
  void reset();

  /// For people: a heading per message.
  std::string to_markdown() const;
  /// What an endpoint takes as `messages`, indented.
  std::string to_json() const;

private:
  bool has_system() const noexcept;

  std::vector<model::ChatMessage> messages_;
};

} // namespace talaria::cli
