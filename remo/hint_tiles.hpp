#pragma once

#include <cstddef>

#include "core/matrix.hpp"
#include "remo/public/parameters.hpp"

namespace talaria::remo {

/// A matrix over R_q in NTT form, k x columns (the hint R or the public matrix A), in the order in
/// which KernelSet::mask_tile reads it: [ceil(columns / 8)][N][k][8 words], missing columns zero.
/// Filled from and read back as the rows kappa N + p that travel.
class HintTiles {
public:
  static constexpr std::size_t kColumns = 8; ///< columns of a tile

  HintTiles(const LatticeParameters& parameters, std::size_t columns);

  std::size_t rows() const noexcept { return n_ * k_; }
  std::size_t columns() const noexcept { return columns_; }
  std::size_t tiles() const noexcept { return (columns_ + kColumns - 1) / kColumns; }
  std::size_t bytes() const noexcept { return words_.size(); }
  const u8* tile(std::size_t t) const {
    return words_.data() + t * n_ * k_ * kColumns * word_bytes_;
  }

  /// Stores rows [first, first + count), each `columns` words without gaps.
  void put_rows(std::size_t first, std::size_t count, const u8* rows);
  /// The opposite.
  void copy_rows(std::size_t first, std::size_t count, u8* rows) const;

private:
  std::size_t piece_offset(std::size_t t, std::size_t row) const {
    return ((t * n_ + row % n_) * k_ + row / n_) * kColumns * word_bytes_;
  }
  std::size_t piece_bytes(std::size_t t) const;

  std::size_t n_;
  std::size_t k_;
  std::size_t columns_;
  std::size_t word_bytes_;
  AlignedBuffer<u8> words_;
};

} // namespace talaria::remo
