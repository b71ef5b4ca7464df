#pragma once

#include <optional>
#include <vector>

#include "kernels/modulus.hpp"

namespace talaria::audit {

/// x with M x = y mod q for a square M, [n][n] row by row, entries in [0, q), q a prime below 2^54,
/// n < 2^16. Nothing if M is singular. n^3 / 3 products.
std::optional<std::vector<u64>> solve_modular(std::vector<u64> matrix, std::vector<u64> right,
                                              const kernels::Modulus& q);

} // namespace talaria::audit
