#include "model/token_table.hpp"

#include <algorithm>
#include <cstring>

#include "core/constant_time.hpp"
#include "core/declassify.hpp"
#include "core/secret.hpp"
#include "model/tokenizer.hpp"

namespace talaria::model {

TokenTable::TokenTable(const Tokenizer& tokenizer, bool skip_special) {
  bool differ = false;
  for (u32 id = 0; id < tokenizer.vocab_size(); ++id) {
    const auto bytes = tokenizer.bytes_of(id, skip_special, false);
    if (!bytes) continue;
    const auto first = tokenizer.bytes_of(id, skip_special, true);
    differ = differ || *first != *bytes;
    add(pieces_, id, *bytes);
    add(first_pieces_, id, *first);
  }
  if (!differ) first_pieces_ = {};
  pieces_.shrink_to_fit();
  first_pieces_.shrink_to_fit();
}

void TokenTable::add(std::vector<Piece>& pieces, u32 id, const std::string& bytes) {
  const std::size_t count =
      std::max<std::size_t>(1, (bytes.size() + kPieceBytes - 1) / kPieceBytes);
  most_ = std::max(most_, count);
  for (std::size_t place = 0; place < count; ++place) {
    Piece piece;
    piece.id = id;
    piece.size = place == 0 ? static_cast<u32>(bytes.size() + 1) : 0;
    piece.place = place;
    const std::string part = bytes.substr(place * kPieceBytes, kPieceBytes);
    std::memcpy(piece.bytes.data(), part.data(), part.size());
    pieces.push_back(piece);
  }
}

std::optional<std::string> TokenTable::find(u32 id, bool first) const {
  const auto& pieces = first && !first_pieces_.empty() ? first_pieces_ : pieces_;
  SecretBuffer<u64> found(2 * most_);
  u32 size = 0;
  for (const Piece& piece : pieces) {
    const u32 here = constant_time::equal(piece.id, id);
    const u64 mask = u64{here} << 32 | here;
    size |= piece.size & here;
    found[2 * piece.place] |= piece.bytes[0] & mask;
    found[2 * piece.place + 1] |= piece.bytes[1] & mask;
  }
  if (declassified(size) == 0) return std::nullopt;
  declassify(found.data(), found.size() * sizeof(u64));
  return std::string(reinterpret_cast<const char*>(found.data()), declassified(size) - 1);
}

} // namespace talaria::model
