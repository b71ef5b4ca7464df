#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/engine_flags.hpp"
#include "model/chat_encoder.hpp"
#include "pipeline/engine.hpp"

namespace talaria::cli {

/// Prompts as given: texts, or one list of ids.
struct PromptTexts {
  std::vector<std::string> texts;
  std::optional<std::vector<u32>> tokens;
};

/// How a prompt becomes a chat: --system, --allow-special, --chat-date.
class ChatFlags {
public:
  void add_to(CLI::App& command);
  /// The template in `files` with `tokenizer`, which must outlive the result.
  /// @throws Error{model} if there is none, or it cannot be rendered; Error{usage} for a bad date.
  model::ChatEncoder encoder(const model::TextFiles& files, const model::Tokenizer& tokenizer,
                             const std::string& date) const;
  /// The system message, if there is one, and `text`.
  std::vector<model::ChatMessage> messages(const std::string& text) const;
  bool given() const { return system_ || date_ || allow_special_; }
  /// --system; empty: none.
  std::string system() const { return system_.value_or(std::string()); }

private:
  std::optional<std::string> system_;
  std::optional<std::string> date_;
  bool allow_special_ = false;
};

/// Where prompts come from: --prompt, --prompt-file (one per line), --prompt-tokens or - (standard
/// input).
class PromptFlags {
public:
  void add_to(CLI::App& command);
  /// @throws Error{usage} unless exactly one source is given and no prompt is empty; Error{io} for
  /// a file that cannot be read.
  PromptTexts read() const;
  /// With --chat each text becomes a user message in the model's chat template (after --system).
  /// Its text makes no special tokens, unless --allow-special says so; other prompts are raw.
  /// `date`: of the configuration file, for strftime_now; --chat-date wins.
  /// @throws Error{model} if the model has no template or it cannot be rendered.
  std::vector<std::vector<u32>> encode(const PromptTexts& prompts, const pipeline::Engine& engine,
                                       const std::string& date) const;

private:
  std::optional<std::string> prompt_;
  std::optional<std::string> file_;
  std::optional<std::string> tokens_;
  std::optional<std::string> dash_;
  bool chat_ = false;
  ChatFlags chat_flags_;
};

/// How tokens are picked: flags over the model's generation_config.json over greedy.
class SamplingFlags {
public:
  /// What was given.
  struct Given {
    std::optional<float> temperature;
    std::optional<float> top_p;
    std::optional<u32> top_k;
    std::optional<float> repetition_penalty;
    std::optional<u64> seed;
  };
  void add_to(CLI::App& command);
  const Given& given() const noexcept { return given_; }
  model::SamplingParameters resolve(const model::GenerationConfig& defaults) const;

private:
  Given given_;
};

} // namespace talaria::cli
