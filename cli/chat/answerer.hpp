#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/chat_template.hpp"

namespace talaria::cli {

/// How an answer was made.
struct AnswerFigures {
  std::size_t tokens = 0;
  bool tokens_are_counted = true;     ///< false: pieces of text were, for want of better
  std::optional<double> first_s;      ///< until the first token
  std::optional<double> tokens_per_s; ///< after the first; nothing below two tokens
  bool is_cut = false;                ///< by the limit of tokens
};

/// Who answers in a chat.
class Answerer {
public:
  /// Takes text as it becomes certain; on any thread.
  using TakeText = std::function<void(std::string_view piece)>;

  virtual ~Answerer() = default;
  /// Answers the last of `messages`. Returns early, without an error, after cancel().
  /// @throws Error for what cannot be answered
  virtual AnswerFigures answer(const std::vector<model::ChatMessage>& messages,
                               const TakeText& text) = 0;
  /// Ends the answer under way, or the next one. Thread-safe.
  virtual void cancel() noexcept = 0;
  /// Forgets a cancel().
  virtual void rearm() noexcept = 0;
  /// Lines about who answers and what vouches for him, as things are now.
  virtual std::string status() = 0;
};

} // namespace talaria::cli
