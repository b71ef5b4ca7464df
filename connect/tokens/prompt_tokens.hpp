#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "model/chat_encoder.hpp"

namespace talaria::connect {

/// Makes token ids of the prompts in requests, so that no tokenizer of the server sees their text.
/// What else is text in a request stays: stop strings, bad words, tools, schemas. Thread-safe.
class PromptTokens {
public:
  /// @param model  a folder or GGUF file with the tokenizer and template of the served model;
  ///               weights are not needed
  /// @throws Error{model} naming a file that cannot be used.
  explicit PromptTokens(const std::filesystem::path& model);

  /// The body of a POST to `path` with ids in the place of text: `messages` of a chat become
  /// `prompt_token_ids`, texts of `prompt` become lists.
  /// @throws ApiError 400 for what the server would refuse as well, and for paths whose bodies
  /// would still hold text.
  std::string rewritten(std::string_view path, const std::string& body) const;

private:
  std::string chat(const std::string& body) const;
  std::string completion(const std::string& body) const;

  const model::Tokenizer tokenizer_;
  std::optional<model::ChatEncoder> chat_; ///< nothing: the model has no template
};

} // namespace talaria::connect
