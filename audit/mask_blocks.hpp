#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "audit/public_model.hpp"
#include "audit/transcript.hpp"

namespace talaria::audit {

/// Row `row` of a block of masks: coefficient t of polynomials that share one secret.
struct MaskPosition {
  std::size_t block = 0;
  std::size_t t = 0;
};

/// The position that the pool's rule gives to the row that arrived as number `row` for its matrix:
/// blocks one after the other, each from its last coefficient to its first.
MaskPosition mask_position(std::size_t row, std::size_t ring);

/// Rows of one block: those whose plaintext the attacker wrote, and the others.
struct BlockRows {
  std::size_t block = 0;
  std::vector<std::size_t> known;
  std::vector<u32> tokens; ///< of the known rows
  std::vector<std::size_t> unknown;
};
/// Blocks with rows of both kinds, in order.
std::vector<BlockRows> mixed_blocks(const CloudView& view, const MatrixRows& matrix);

/// A's polynomials for the inputs of one matrix, and what secrets make of them.
class PublicPolynomials {
public:
  PublicPolynomials(const remo::LatticeParameters& parameters, std::size_t d_in)
      : parameters_(parameters), modulus_(parameters.modulus()), d_in_(d_in),
        words_(public_polynomials(parameters, d_in, d_in)) {}

  const kernels::Modulus& modulus() const noexcept { return modulus_; }
  std::size_t dimension() const noexcept { return parameters_.dimension(); }
  /// What the secret's coefficient `index` = kappa N + m is multiplied by in coefficient `t` of the
  /// mask of input `i`.
  u64 factor(std::size_t i, std::size_t t, std::size_t index) const;
  /// Coefficient t of the mask without errors, for every input. `secret`: residues, dimension().
  std::vector<u64> mask(std::size_t t, std::span<const u64> secret) const;

private:
  const remo::LatticeParameters& parameters_;
  kernels::Modulus modulus_;
  std::size_t d_in_;
  std::vector<u64> words_;
};

/// The words of a row less Delta times what the attacker knows it to be: its mask, modulo q of the
/// parameters. Of a rounded mask only the nearest residue is known, off by mask_doubt() at most.
std::vector<u64> mask_of_known_row(const CloudView& view, const MatrixRows& matrix, std::size_t row,
                                   u32 token);
/// How far mask_of_known_row() may be from the mask as it was made: q / 2p, or 0 without rounding.
u64 mask_doubt(const CloudView& view, const MatrixRows& matrix);

/// Centred [c - mask] / Delta of a row, modulo its words' modulus: what it was, if the mask, given
/// modulo q, is right.
std::vector<float> opened(const MatrixRows& matrix, std::size_t row, std::span<const u64> mask,
                          const kernels::Modulus& q);

} // namespace talaria::audit
