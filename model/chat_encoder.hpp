#pragma once

#include <vector>

#include "model/chat_template.hpp"
#include "model/tokenizer.hpp"

namespace talaria::model {

/// Conversations as token ids, by a model's chat template and tokenizer.
class ChatEncoder {
public:
  /// `allow_special`: what a message holds may become special tokens, as in Hugging Face's
  /// apply_chat_template. Otherwise text of messages stays text (see Tokenizer::limits).
  /// `tokenizer` must outlive this object.
  /// @throws Error{model} naming file and line if the template cannot render a conversation, or
  /// writes a special token that the tokenizer does not know.
  ChatEncoder(ChatTemplate chat, const Tokenizer& tokenizer, bool allow_special);

  /// The ids of `messages` with the opening of the answer. At most `most`.
  /// @throws Error{usage}, whose message holds no path: for what the template refuses or cannot
  /// render; TextTooLong.
  std::vector<u32> encode(const std::vector<ChatMessage>& messages,
                          std::size_t most = Tokenizer::no_bound,
                          const ChatOptions& options = {}) const;
  const ChatTemplate& chat() const noexcept { return chat_; }

private:
  void check_markers() const;

  ChatTemplate chat_;
  const Tokenizer* tokenizer_;
  OriginLimits limits_; ///< empty: messages may become anything
};

} // namespace talaria::model
