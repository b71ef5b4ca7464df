#pragma once

#include <cstddef>
#include <span>

#include "core/matrix.hpp"
#include "kernels/modulus.hpp"
#include "remo/public/parameters.hpp"

namespace talaria::remo {

/// The public matrix A in R_q^{k x d_in}, in NTT form, expanded from a seed by SHAKE-256 with
/// rejection (docs/protocol.md, Public matrix): nobody can plant a trapdoor in it. Enclave and
/// worker expand it alike.
///
/// Row kappa N + p holds, for every input i, the value at position p (the order of NttPlan) of
/// A[kappa][i], as d_in words. So the hint is a plain product: row r of R = row r of A times W.
class PublicMatrix {
public:
  /// XOF input: seed || "|A|k|d_in|N|q" in decimal, and "|p" where the set rounds, so that no two
  /// sets share a matrix; 8-byte little-endian words, the top bits of
  /// each, values >= q rejected; accepted values fill [k][d_in][N] in natural evaluation order.
  PublicMatrix(const LatticeParameters& parameters, std::span<const u8> seed, std::size_t d_in);

  std::size_t rows() const noexcept { return rows_; } ///< k N
  std::size_t d_in() const noexcept { return d_in_; }
  /// Row `r` as d_in packed words; rows follow each other without gaps.
  const u8* row(std::size_t r) const { return words_.data() + r * d_in_ * word_bytes_; }
  std::size_t bytes() const noexcept { return words_.size(); }

private:
  std::size_t rows_;
  std::size_t d_in_;
  std::size_t word_bytes_;
  AlignedBuffer<u8> words_;
};

/// The seed of A in this release (docs/protocol.md, Security estimates: rotate it with every
/// release).
std::span<const u8> public_matrix_seed() noexcept;

} // namespace talaria::remo
