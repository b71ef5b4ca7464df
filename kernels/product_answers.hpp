#pragma once

#include "kernels/product_kernels.hpp"

namespace talaria::kernels {

/// Runs every kernel of `set` on small fixed inputs. The reference has to reproduce numbers written
/// down in the source, any other target what the reference computes.
/// @returns the name of the first kernel with a wrong answer, or null.
const char* first_wrong_product_kernel(const ProductKernels& set, const ProductKernels& reference);

} // namespace talaria::kernels
