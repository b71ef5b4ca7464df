#pragma once

#include "model/tokenization/token_model.hpp"

namespace talaria::model {

/// A word as the longest tokens from its beginning on, as the model of kind WordPiece of the
/// `tokenizers` library (BERT).
class WordPiece final : public TokenModel {
public:
  static WordPiece parse(const JsonNode& model);

  /// O(n m) for n bytes and m of the longest token. A word that has no such tokens, or is too long,
  /// is unknown as a whole.
  void tokenize(std::string_view piece, std::vector<u32>& ids,
                const OriginLimits* limits = nullptr) const override;
  std::size_t longest_piece(bool) const override { return 0; } // of an unknown word

private:
  bool append_word(std::string_view word, std::vector<u32>& ids, const OriginLimits* limits) const;
  std::string_view longest_at(std::string_view word, std::size_t begin, u32& id,
                              const OriginLimits* limits) const;

  std::string prefix_;
  std::string unknown_;
  std::size_t most_characters_ = 100;
  std::size_t longest_ = 1;
};

} // namespace talaria::model
