#pragma once

#include <cstddef>

#include "core/integers.hpp"
#include "kernels/kernel_set.hpp"

/// Plain loops that define every kernel; compiled without instruction-set flags.
/// Contracts are those of the members of KernelSet with the same names.
namespace talaria::kernels::reference {

#include "kernels/row_functions.inc"

/// x mod q, in constant time: how the vector targets end their wide sums.
u64 reduce_wide(u128 x, const Modulus& q);

/// `columns` residues  sum_l 2^(limb_bits l) sums[l stride + j] mod q  as words, whose magnitude
/// must stay below 2^100: how the vector targets put limbs together where they have no faster way.
void recombine_limbs(const i64* sums, std::size_t stride, std::size_t limbs, int limb_bits,
                     std::size_t columns, const Modulus& q, u8* out);

} // namespace talaria::kernels::reference
