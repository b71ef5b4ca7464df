#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "core/integers.hpp"

namespace talaria::model {

class Tokenizer;

/// The bytes of every token in pieces of 16, padded, so that those of one are found by a pass over
/// all pieces: no address and no branch depends on the token. Takes about 30 bytes a token.
class TokenTable {
public:
  /// `skip_special`: special tokens stand for nothing.
  TokenTable(const Tokenizer& tokenizer, bool skip_special);

  /// What Tokenizer makes of `id`; nothing if it stands for nothing, as every id beyond the
  /// vocabulary does. `first`: no token before it stood for something. What is returned may be
  /// seen: the text begins here.
  std::optional<std::string> find(u32 id, bool first) const;

private:
  static constexpr std::size_t kPieceBytes = 16;
  struct Piece {
    u32 id = 0;
    u32 size = 0;  ///< of the token in bytes, plus one; in its first piece only
    u64 place = 0; ///< of this piece in the token
    std::array<u64, kPieceBytes / sizeof(u64)> bytes{};
  };
  void add(std::vector<Piece>& pieces, u32 id, const std::string& bytes);

  std::vector<Piece> pieces_;
  std::vector<Piece> first_pieces_; ///< of a first token; empty: no different
  std::size_t most_ = 1;            ///< pieces of the longest token
};

} // namespace talaria::model
