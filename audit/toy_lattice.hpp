#pragma once

#include <cstddef>
#include <vector>

#include "audit/attack.hpp"
#include "audit/transcript.hpp"
#include "core/matrix.hpp"
#include "kernels/modulus.hpp"

namespace talaria::audit {

/// The lattice scheme as it is used but for the dimension of the secret, which is small enough to
/// be attacked on a laptop. With rank 1 the mask of one row is plain LWE, whatever the ring: each
/// input's column of A is a shuffled polynomial of its own.
struct ToyLattice {
  std::size_t dimension = 32; ///< n
  bool reduce = true;         ///< LLL; without, kernel vectors as linear algebra gives them
  std::size_t trials = 32;    ///< rows masked and attacked
  u64 seed = 1;
};

/// Dual attack on `toy` rows: vectors w with A w = 0 mod q make w.c = w.(Delta x) + w.e mod q,
/// which hardly depends on the error e if w is short; every token's row x is tested against it.
/// Source: Micciancio and Regev 2009 (dual attack); docs/protocol.md, Attacks tried (g).
/// @param vocabulary  what each token's row is before masking, [tokens, inputs]; more inputs than
///                    `toy.dimension`, of which only as many as help are used.
AttackResult attack_toy(const ToyLattice& toy, const kernels::Modulus& q, int delta_bits,
                        const Matrix<i32>& vocabulary);

/// The column of the table.
AttackInfo toy_lattice_info();

/// The attack on toy instances of the recording's own modulus, Delta and vocabulary, with and
/// without reduction, and what the estimator says it would need at the real dimension. Judges
/// nothing. Nothing for schemes other than lattice. Takes a second or two.
std::vector<AttackResult> toy_lattice(const CloudView& view, const Effort& effort);

} // namespace talaria::audit
