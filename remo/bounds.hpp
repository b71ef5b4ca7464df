#pragma once

#include <cstddef>
#include <string>

#include "remo/public/parameters.hpp"

namespace talaria::remo {

/// Noise and range budget of one matrix (docs/protocol.md, Noise and range), in words modulo q:
///
///   E     = tau sigma Wm + q / (2 q_d) + 1          noise bound, P[|e.W_j| > E] < 2^-64 per output
///   Delta = 2^ceil(log2(2E + 2))                    so that |noise| < Delta / 2
///   B     = (q/2 - E - 1) / (Delta Wm)              ||x||_2 <= B  =>  |Delta xW + noise| < q/2
/// with Wm the largest column norm. B is capped at 2^29 so that |x_i| Delta stays below q/2 and in
/// i32. The switching term is always counted: answers do not depend on the reply format.
///
/// In rounded words, p takes the place of q, and (Rounded masks)
///   E     = tau sqrt((sigma p/q)^2 + 1/12) Wm + p / (2 q_d) + 3/2
///
/// A set that rounds does so for a matrix where kRoundedPrecisionBits are left, or where words
/// modulo q would not be half a bit finer.
struct LinearBounds {
  bool rounded = false; ///< words of this matrix are modulo p
  int delta_bits = 0;
  double noise = 0;           ///< E
  double activation_norm = 0; ///< B
  double precision_bits = 0;  ///< log2(B / sqrt(d_in / 12)): bits of a typical activation row
};

/// @throws Error{bounds} naming `name` with q, d_in, Wm, Delta, B and the precision if d_in >= 2^17
/// or the precision is below kMinimumPrecisionBits.
LinearBounds linear_bounds(const LatticeParameters& parameters, const std::string& name,
                           std::size_t d_in, double max_column_norm);

/// Below this, activations would be coarser than int4; a larger q is needed.
inline constexpr double kMinimumPrecisionBits = 4.0;
/// What activations keep at least where masks are rounded: as much as bf16 has.
inline constexpr double kRoundedPrecisionBits = 9.0;

/// The words of a matrix with these bounds.
WordFormat words_of(const LatticeParameters& parameters, const LinearBounds& bounds);

} // namespace talaria::remo
