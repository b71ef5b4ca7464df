#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/tokenization/json_node.hpp"
#include "model/tokenization/pattern.hpp"

namespace talaria::model {

/// The "decoder" of a tokenizer.json: the bytes each token stands for. What depends on the place in
/// the text is only the blank at its very beginning, so that a text can be decoded token by token.
class TokenDecoder {
public:
  static TokenDecoder parse(const JsonNode& node);

  /// `added`: an added token, which a byte-level decoder takes literally.
  /// `first`: the first token of the text.
  std::string bytes(std::string_view token, bool added, bool first) const;
  /// Whether bytes() runs a regular expression, which can be too much work for a token.
  bool has_expressions() const noexcept;
  /// How many of the blanks (character `blank`) that begin the text are dropped.
  std::size_t strip_left() const noexcept { return strip_left_; }
  char blank() const noexcept { return blank_; }

private:
  /// Done to each token: replace a pattern, or strip a character from its ends.
  struct Step {
    std::vector<Pattern> pattern; ///< one, or none for a strip
    std::string content;
    std::size_t start = 0, stop = 0;
  };
  void parse_sequence(const JsonNode& node);
  void parse_step(const JsonNode& node, bool& fused);
  void parse_strip(const JsonNode& node, bool fused);
  void parse_metaspace(const JsonNode& node);
  void parse_word_piece(const JsonNode& node);
  std::string word_piece(std::string_view token, bool first) const;
  std::string apply(const Step& step, std::string text) const;

  bool byte_level_ = false;
  bool byte_fallback_ = false;
  std::string word_prefix_; ///< WordPiece: of tokens inside a word, which others are parted from
  bool words_ = false;      ///< there is such a step; it is the only one
  bool tidies_ = false;     ///< and it takes blanks before punctuation away
  bool joins_ = false;      ///< no decoder: the library puts a space between tokens
  std::string metaspace_;
  bool metaspace_strips_ = false;
  std::vector<Step> steps_;
  std::size_t strip_left_ = 0;
  char blank_ = ' ';
};

} // namespace talaria::model
