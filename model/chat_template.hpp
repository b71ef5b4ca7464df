#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/chat_date.hpp"
#include "model/marked_text.hpp"

namespace talaria::model {

class TextFiles;

struct ChatMessage {
  std::string role;
  std::string content;
  /// The text of a JSON object: more that a template may ask for, e.g. tool_calls. Empty: nothing.
  std::string fields{};
};

/// What a conversation is rendered with besides its messages. Text of JSON, or empty.
struct ChatOptions {
  bool add_generation_prompt = true;
  /// The prompt ends where the last message does, so that the answer continues it.
  bool continue_final_message = false;
  std::string tools{};     ///< a list
  std::string documents{}; ///< a list
  std::string variables{}; ///< an object: more variables of the template
};

/// A model's chat template: the part of Jinja2 that templates of published models use, rendered
/// with trim_blocks and lstrip_blocks as transformers does.
class ChatTemplate {
public:
  using Variables = std::vector<std::pair<std::string, std::string>>;

  /// chat_template.jinja, else `chat_template` of tokenizer_config.json (a string, or a list of
  /// named templates of which "default" is taken). Nothing if the model has none. bos_token,
  /// eos_token and the other special tokens that TokenizerConfig finds become variables.
  /// @throws Error{model} naming file, line and construct for a template it cannot render exactly.
  static std::optional<ChatTemplate> load(const std::filesystem::path& model_dir);
  /// The same from files that were read already.
  static std::optional<ChatTemplate> load(const TextFiles& files);
  /// Parses template text; `special_tokens` are (name, text) variables. Exposed for tests and
  /// fuzzing.
  static ChatTemplate parse(std::string_view text, const std::string& file,
                            Variables special_tokens);
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  /// What strftime_now tells. Without one it is undefined: a template that asks for the date takes
  /// its own fixed one, or is refused if it has none.
  void set_clock(const ChatClock& clock);

  /// The prompt, in which text of messages is marked: an assistant's as an answer, all other as
  /// input, roles too unless they are one of those that templates know, and tools, documents and
  /// variables. Encode it without adding more tokens.
  /// @throws Error{usage} with the template's own words if it calls raise_exception, for a message
  /// that is not UTF-8, a variable that is not the caller's to set, or a last message that does not
  /// stand in the prompt and cannot be continued; Error{model} for a construct that has no meaning
  /// here (the line is named). Bounded work: loops and output are limited.
  MarkedText prompt(const std::vector<ChatMessage>& messages, const ChatOptions& options) const;
  MarkedText prompt(const std::vector<ChatMessage>& messages, bool add_generation_prompt) const;
  /// The text of prompt().
  std::string render(const std::vector<ChatMessage>& messages, bool add_generation_prompt) const;

  /// Renders two small conversations, one with each role that every template knows.
  /// @throws Error{model} naming file and line if either has no meaning. A template may refuse them
  /// in its own words.
  void check() const;

  const Variables& special_tokens() const noexcept;
  const std::string& file() const noexcept;
  /// What the template says, as it is written.
  const std::string& source() const noexcept;

private:
  struct Impl;
  explicit ChatTemplate(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

} // namespace talaria::model
