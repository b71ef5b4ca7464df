#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "core/integers.hpp"

namespace talaria::remo {

/// Rounds one activation row to integers q with ||q||_2 <= bound, as finely as the bound allows:
/// q[i] = rint(x[i] s), s = (bound - sqrt(n)/2 - 1)(1 - slack) / ||x||. The slack covers every
/// rounding of the norm (16 lanes of fp32 sums, at most (n/16 + 4) 2^-24 in its square), so no row
/// needs a second try: the time does not depend on the row, except for the rare one whose squares
/// leave the range of fp32. The same integers on every instruction set. A zero row gives zeros.
///
/// Returns the row's quantization scale, about 1 / s, such that x[i] is about q[i] times it; 0 for
/// a zero row.
/// @throws Error{internal} naming `name` if a value is not finite.
float quantize_activation(std::span<const float> x, double bound, const std::string& name, i32* q);

} // namespace talaria::remo
