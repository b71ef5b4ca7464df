#pragma once

#include "planner/rates.hpp"
#include "remo/public/parameters.hpp"

namespace talaria::cli {

inline constexpr double kMicrosecond = 1e-6, kNanosecond = 1e-9, kBillion = 1e9;

/// What one core of this machine does with the kernels in use, in the place of what `talaria plan`
/// assumes: masks, products of residues and in clear, weights from memory, attention. Medians of
/// CPU time, so that other work takes less from them than it does from the clock; some seconds.
/// Returns the 10^9 bytes/s that one core reads from memory.
double measure_core(planner::Rates& rates, const remo::LatticeParameters& parameters);

/// A link over loopback TLS, both ends in this process: the round trip of a small tensor, what one
/// end's threads do for it, and for each byte of large ones.
/// @throws Error{io} if certificates cannot be made under TMPDIR or no port is free.
void measure_wire(planner::Rates& rates);

} // namespace talaria::cli
