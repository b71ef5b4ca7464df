#pragma once

#include <span>

#include "core/integers.hpp"

namespace talaria {

/// Whether `a` and `b` are equal, in a time that depends on their lengths alone.
bool equal_in_constant_time(std::span<const u8> a, std::span<const u8> b) noexcept;

} // namespace talaria
