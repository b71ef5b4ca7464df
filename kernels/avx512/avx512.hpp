#pragma once

#include <cstddef>

#include "core/integers.hpp"
#include "kernels/kernel_set.hpp"

/// AVX-512 with IFMA, VBMI, VNNI and VPOPCNTDQ: eight residues or sixteen floats at a time.
/// Contracts are those of the members of KernelSet with the same names.
namespace talaria::kernels::avx512 {

#include "kernels/row_functions.inc"

} // namespace talaria::kernels::avx512
