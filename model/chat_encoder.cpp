#include "model/chat_encoder.hpp"

#include <fmt/format.h>

#include "core/error.hpp"

namespace talaria::model {

ChatEncoder::ChatEncoder(ChatTemplate chat, const Tokenizer& tokenizer, bool allow_special)
    : chat_(std::move(chat)), tokenizer_(&tokenizer) {
  chat_.check();
  check_markers();
  if (!allow_special) limits_ = tokenizer.limits(chat_.source());
}

/// A prompt whose turns are cut apart into letters is certainly not what the model was trained
/// with.
void ChatEncoder::check_markers() const {
  for (const auto& [name, text] : chat_.special_tokens()) {
    const std::string& source = chat_.source();
    if (source.find(name) == std::string::npos && source.find(text) == std::string::npos) continue;
    if (text.empty()) continue;
    if (tokenizer_->encode(text, false).size() != 1)
      throw Error(Errc::model,
                  fmt::format("{}: the template writes {} ({}), which tokenizer.json cuts apart; "
                              "add it to added_tokens there, or to added_tokens_decoder of "
                              "tokenizer_config.json",
                              chat_.file(), name, text));
  }
}

std::vector<u32> ChatEncoder::encode(const std::vector<ChatMessage>& messages, std::size_t most,
                                     const ChatOptions& options) const {
  MarkedText prompt;
  try {
    prompt = chat_.prompt(messages, options);
  } catch (const Error& error) {
    std::string what = error.what();
    if (!what.starts_with(chat_.file())) throw;
    what.erase(0, chat_.file().size() + 1);
    throw Error(
        Errc::usage,
        fmt::format("the model's chat template cannot render these messages: line {}", what));
  }
  return limits_.empty() ? tokenizer_->encode(prompt.text(), /*add_special_tokens=*/false, most)
                         : tokenizer_->encode(prompt, limits_, most);
}

} // namespace talaria::model
