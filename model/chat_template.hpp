#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace talaria::model {

struct ChatMessage {
  std::string role;
  std::string content;
};

/// A model's chat template: the subset of Jinja2 that the templates of Llama 3, Qwen 2/2.5/3,
/// Mistral and ChatML need, rendered with trim_blocks and lstrip_blocks as transformers does.
/// A prompt depends on the conversation alone: there is no clock (strftime_now is undefined), so a
/// template that asks for the date takes its own fixed one, or is refused if it has none.
class ChatTemplate {
public:
  /// chat_template.jinja, else `chat_template` of tokenizer_config.json (a string, or a list of
  /// named templates of which "default" is taken). Nothing if the model has none. bos_token,
  /// eos_token and the other named special tokens of tokenizer_config.json become variables.
  /// @throws Error{model} naming file, line and construct for a template it cannot render exactly.
  static std::optional<ChatTemplate> load(const std::filesystem::path& model_dir);
  /// Parses template text; `special_tokens` are (name, text) variables. Exposed for tests and
  /// fuzzing.
  static ChatTemplate parse(std::string_view text, const std::string& file,
                            std::vector<std::pair<std::string, std::string>> special_tokens);
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  /// The prompt text. Special tokens in it are meant to be recognised; encode it without adding
  /// more.
  /// @throws Error{usage} with the template's own words if it calls raise_exception, Error{model}
  /// for a construct that has no meaning here (the line is named). Bounded work: loops and output
  /// are limited.
  std::string render(const std::vector<ChatMessage>& messages, bool add_generation_prompt) const;

private:
  struct Impl;
  explicit ChatTemplate(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

} // namespace talaria::model
