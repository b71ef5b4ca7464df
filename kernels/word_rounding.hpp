#pragma once

#include "core/integers.hpp"
#include "kernels/modulus.hpp"

namespace talaria::kernels {

/// What becomes of a mask's residue modulo q before it is stored: round(x p / q) mod p for a prime
/// p < q (docs/protocol.md, Rounded masks), or the residue as it is. No tie can occur, q being odd.
struct WordRounding {
  Modulus q;       ///< of what comes in
  Modulus p;       ///< of the words that are stored
  u64 ratio64 = 0; ///< floor(p 2^64 / q), for scalars; 0 without rounding
  u64 ratio52 = 0; ///< floor(p 2^52 / q), for the 52-bit multiplier

  /// Words are residues modulo `same`.
  constexpr explicit WordRounding(const Modulus& same) : q(same), p(same) {}
  /// `to` is `from`, or a smaller prime.
  constexpr WordRounding(const Modulus& from, const Modulus& to) : q(from), p(to) {
    if (!rounds()) return;
    ratio64 = static_cast<u64>((u128{p.q} << 64) / q.q);
    ratio52 = static_cast<u64>((u128{p.q} << 52) / q.q);
  }
  [[gnu::always_inline]] constexpr bool rounds() const { return p.q != q.q; }

  /// round(x p / q) mod p for x in [0, q), without a branch. Only if rounds().
  constexpr u64 operator()(u64 x) const {
    // The quotient misses floor(x p / q) by at most one, so that `rest` is below 2 q + q / 2.
    const u64 quotient = static_cast<u64>(u128{x} * ratio64 >> 64);
    const u64 rest = x * p.q - quotient * q.q + q.q / 2;
    const u64 nearest = quotient + ((q.q - 1 - rest) >> 63) + ((2 * q.q - 1 - rest) >> 63);
    return nearest - (p.q & (u64{0} - ((p.q - 1 - nearest) >> 63)));
  }
};

} // namespace talaria::kernels
