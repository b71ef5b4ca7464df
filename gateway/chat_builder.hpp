#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/chat_template.hpp"

namespace talaria::gateway {

/// Makes messages, as chat templates take them, of items that come one by one: text, reasoning,
/// calls of tools and their results. What an assistant thought, said and called in one turn becomes
/// one message.
class ChatBuilder {
public:
  enum class Join { no, yes };

  /// @param role  system, user or assistant
  /// @param join  text behind a message of the same role becomes a part of it, on a line of its
  /// own; an assistant's text joins what it thought before in any case
  void add_text(std::string_view role, std::string text, Join join);
  void add_reasoning(std::string text);
  /// @param arguments  the text of a JSON object
  void add_call(std::string_view id, std::string_view name, std::string_view arguments);
  void add_result(std::string_view call_id, std::string text);
  /// A turn has ended: what the assistant does next is another message.
  void end_turn() { ended_ = true; }

  /// The messages so far, in their order.
  std::vector<model::ChatMessage> take();

private:
  struct Message {
    std::string role;
    std::string text{};
    bool has_text = false;
    std::string reasoning{};
    std::string calls{}; ///< objects with commas between
    std::string result_of{};
  };
  Message& assistant();
  static model::ChatMessage finished(Message message);

  std::vector<Message> messages_;
  bool ended_ = false;
};

} // namespace talaria::gateway
