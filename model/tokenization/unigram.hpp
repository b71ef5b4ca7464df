#pragma once

#include <vector>

#include "model/tokenization/token_model.hpp"

namespace talaria::model {

/// The tokens of a piece with the largest sum of scores, as the model of kind Unigram of the
/// `tokenizers` library (SentencePiece: T5, XLM-RoBERTa, ALBERT).
class Unigram final : public TokenModel {
public:
  static Unigram parse(const JsonNode& model);

  /// O(n m) for n bytes and m of the longest token. Characters that no token begins with are
  /// unknown; those in a row are one unknown token, or bytes.
  void tokenize(std::string_view piece, std::vector<u32>& ids,
                const OriginLimits* limits = nullptr) const override;
  std::size_t longest_piece(bool byte_level) const override;

private:
  /// The best way to a place in the piece: by which token, and where that begins.
  struct Arrival {
    double score = 0;
    std::size_t from = 0;
    u32 id = 0;
    bool reached = false;
  };
  /// A trie over the tokens' bytes: the children of a node stand side by side, by byte.
  struct Node {
    u32 first_child = 0;
    u32 children = 0;
    i64 token = -1;
    u8 byte = 0;
  };

  void read_vocabulary(const JsonNode& vocabulary);
  void build_trie();
  const Node* child(const Node& node, char byte) const;
  std::vector<Arrival> best_ways(std::string_view piece, const OriginLimits* limits) const;
  u32 unknown_id() const;
  void append_text(std::string_view text, std::vector<u32>& ids, const OriginLimits* limits) const;

  std::vector<double> scores_;
  std::vector<Node> nodes_;
  double unknown_score_ = 0;
  std::optional<u32> unknown_;
  bool byte_fallback_ = false;
};

} // namespace talaria::model
