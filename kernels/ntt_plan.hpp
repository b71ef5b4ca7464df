#pragma once

#include <cstddef>
#include <vector>

#include "core/integers.hpp"
#include "kernels/modulus.hpp"

namespace talaria::kernels {

/// Constants of the negacyclic number-theoretic transform of length N over Z_q, q = 1 mod 2N.
///
/// The transform takes coefficients a_0..a_{N-1} to evaluations at the odd powers of psi, a
/// primitive 2N-th root of unity. **Order**: position p holds the value at psi^(2 rev(p) + 1), rev
/// = reversal of the log2(N) bits, which is what Cooley-Tukey with merged twist yields and what
/// every stored A, R and secret uses. psi is g^((q-1)/2N) for the least quadratic non-residue g >=
/// 2, as in the reference program, so that its natural-order vectors are ours up to rev.
///
/// Every twiddle w is stored with Shoup's companions for two word sizes:
///   shoup64 = floor(w 2^64 / q)   (scalar)      shoup52 = floor(w 2^52 / q)   (IFMA)
struct NttPlan {
  struct Twiddle {
    u64 w = 0;
    u64 shoup64 = 0;
    u64 shoup52 = 0;
  };

  Modulus modulus;
  std::size_t n = 0; ///< N, a power of two in [2, 4096]
  int log2n = 0;

  std::vector<Twiddle>
      forward; ///< [N], forward[m + i] = psi^(rev over log2n of (m + i)), entry 0 unused
  std::vector<Twiddle> inverse; ///< [N], inverse of the forward twiddles, same index
  Twiddle n_inverse;            ///< N^-1

  /// For targets that compute the inverse as a cyclic transform followed by one factor for each
  /// coefficient r, in natural order: psi^-r / N, and the same times 2^52 for sums that come out of
  /// a Montgomery reduction.
  std::vector<Twiddle> untwist;   ///< [N]
  std::vector<Twiddle> untwist52; ///< [N]

  /// @throws Error{internal} unless q is prime with q = 1 mod 2N.
  NttPlan(Modulus m, std::size_t length);

  Twiddle twiddle(u64 w) const;
  /// Reversal of the low log2n bits.
  std::size_t reversed(std::size_t i) const;
};

} // namespace talaria::kernels
