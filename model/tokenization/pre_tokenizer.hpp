#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/tokenization/json_node.hpp"

namespace talaria::model {

/// A stretch of text that is tokenised on its own.
struct Piece {
  std::string text;
  bool at_start; ///< it begins where the whole input begins
};

/// Cuts text into the pieces that tokens never reach across.
class PreTokenizer {
public:
  virtual ~PreTokenizer() = default;
  virtual std::vector<Piece> apply(std::vector<Piece> pieces) const = 0;
  /// Nothing of a text is left out.
  virtual bool keeps() const = 0;
  /// What comes out is written in the byte-level alphabet.
  virtual bool is_byte_level() const { return false; }
};

/// The "pre_tokenizer" of a tokenizer.json; null pointer for null.
std::unique_ptr<PreTokenizer> parse_pre_tokenizer(const JsonNode& node);

} // namespace talaria::model
