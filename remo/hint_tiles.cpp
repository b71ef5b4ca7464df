#include "remo/hint_tiles.hpp"

#include <algorithm>
#include <cstring>

namespace talaria::remo {

HintTiles::HintTiles(const LatticeParameters& parameters, std::size_t columns)
    : n_(parameters.n), k_(parameters.k), columns_(columns),
      word_bytes_(static_cast<std::size_t>(parameters.modulus().word_bytes)),
      words_(round_up(columns, kColumns) * n_ * k_ * word_bytes_) {}

std::size_t HintTiles::piece_bytes(std::size_t t) const {
  return std::min(kColumns, columns_ - t * kColumns) * word_bytes_;
}

// Tiles outside, rows inside: pieces of neighbouring rows are neighbours within a tile.
void HintTiles::put_rows(std::size_t first, std::size_t count, const u8* rows) {
  const std::size_t row_bytes = columns_ * word_bytes_;
  for (std::size_t t = 0; t < tiles(); ++t) {
    const u8* from = rows + t * kColumns * word_bytes_;
    for (std::size_t r = 0; r < count; ++r, from += row_bytes)
      std::memcpy(words_.data() + piece_offset(t, first + r), from, piece_bytes(t));
  }
}

void HintTiles::copy_rows(std::size_t first, std::size_t count, u8* rows) const {
  const std::size_t row_bytes = columns_ * word_bytes_;
  for (std::size_t t = 0; t < tiles(); ++t) {
    u8* to = rows + t * kColumns * word_bytes_;
    for (std::size_t r = 0; r < count; ++r, to += row_bytes)
      std::memcpy(to, words_.data() + piece_offset(t, first + r), piece_bytes(t));
  }
}

} // namespace talaria::remo
