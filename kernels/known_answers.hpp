#pragma once

#include "kernels/kernel_set.hpp"

namespace talaria::kernels {

/// Runs every kernel of `set` on small fixed inputs. The reference row has to reproduce numbers
/// written down in the source, any other target what the reference computes.
/// @returns the name of the first kernel with a wrong answer, or null.
const char* first_wrong_kernel(const KernelSet& set, const KernelSet& reference);

} // namespace talaria::kernels
