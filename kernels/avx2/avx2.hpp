#pragma once

#include <cstddef>

#include "core/integers.hpp"
#include "kernels/kernel_set.hpp"

/// AVX2 and FMA: four residues or eight floats at a time.
/// Contracts are those of the members of KernelSet with the same names.
namespace talaria::kernels::avx2 {

#include "kernels/row_functions.inc"

} // namespace talaria::kernels::avx2
