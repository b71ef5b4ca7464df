#pragma once

#include <cstddef>
#include <span>

#include "core/integers.hpp"

/// AES-256 by the vector instructions VAES (16 blocks at a time), which OpenSSL 3.0 does not use
/// for this mode. Constant time: no table, no branch on data.
namespace talaria::vaes {

inline constexpr std::size_t kRoundKeyBytes = 15 * 16;

/// Whether this machine has the instructions; nothing below may run otherwise.
bool available() noexcept;

/// FIPS 197, 5.2. `round_keys` has kRoundKeyBytes.
void expand_key(std::span<const u8, 32> key, u8* round_keys) noexcept;

/// Writes 16 `blocks` bytes: AES of the 128-bit big-endian numbers first, first + 1, ...
void keystream(const u8* round_keys, u64 first, std::size_t blocks, u8* out) noexcept;

} // namespace talaria::vaes
