#pragma once

#include <cstddef>

namespace talaria::kernels {

/// At least `bytes` bytes of 64-byte aligned memory of the calling thread, valid until its next
/// call of scratch(), with 64 readable bytes behind. Contents are left over from earlier calls and
/// are never wiped: for what the worker may see, nothing secret.
unsigned char* scratch(std::size_t bytes);

} // namespace talaria::kernels
