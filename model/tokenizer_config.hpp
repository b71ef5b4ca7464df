#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/integers.hpp"

namespace talaria::model {

class TextFiles;

/// A token that a file beside tokenizer.json declares.
struct DeclaredToken {
  std::string content;
  std::string where;     ///< "FILE: FIELD", to begin a message with
  std::optional<u32> id; ///< as declared; nothing: wherever the vocabulary has it, or the next one
  bool special = true;
  bool normalized = false, left_strip = false, right_strip = false, single_word = false;
  bool by_default = false; ///< said by no file, only by the class of the tokenizer
};

/// What transformers reads beside tokenizer.json when it loads a fast tokenizer (4.45 and later):
/// tokenizer_config.json and, if that has no added_tokens_decoder, special_tokens_map.json, which
/// then wins, and added_tokens.json.
struct TokenizerConfig {
  /// Each file may be missing. @throws Error{model} naming file and field.
  static TokenizerConfig load(const std::filesystem::path& model_dir);
  /// The same from files that were read already.
  static TokenizerConfig load(const TextFiles& files);

  /// bos_token and the like, with their texts: variables of a chat template.
  std::vector<std::pair<std::string, std::string>> named;
  std::vector<std::string> additional; ///< additional_special_tokens, a variable as well
  /// added_tokens_decoder (or added_tokens.json) by id, in which later entries of this list
  /// are not repeated; then the named and the additional tokens.
  std::vector<DeclaredToken> tokens;
  /// The class makes its own post-processor: BOS and EOS as add_bos_token and add_eos_token say.
  bool adds_around = false;
  std::optional<bool> add_bos; ///< as written; nothing: true
  bool add_eos = false;
  std::string file; ///< tokenizer_config.json, to begin a message with
  /// A single byte-level pre-tokenizer gets this; nothing: it keeps what tokenizer.json says.
  std::optional<bool> add_prefix_space;

  /// BERT's classes have a mind of their own about a BertNormalizer: what they set in it.
  struct BertFlags {
    bool lowercase = true;
    std::optional<bool> strip_accents;
    bool handle_chinese_chars = true;
  };
  std::optional<BertFlags> bert; ///< nothing: another class, which leaves it as it is

  std::optional<std::string> text_of(const std::string& name) const;
};

} // namespace talaria::model
