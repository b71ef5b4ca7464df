#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/integers.hpp"

namespace talaria {

using Sha256Digest = std::array<u8, 32>;

/// SHA-256 (FIPS 180-4) of `data`.
Sha256Digest sha256(std::span<const u8> data);

/// SHA-256 of a stream of pieces.
class Sha256 {
public:
  Sha256();
  Sha256(Sha256&&) noexcept;
  ~Sha256();
  void update(std::span<const u8> data);
  /// Ends the stream; call once.
  Sha256Digest finish();

private:
  struct Context;
  std::unique_ptr<Context> context_;
};

/// The first `bytes` bytes of SHAKE-256 (FIPS 202) of `input`.
std::vector<u8> shake256(std::span<const u8> input, std::size_t bytes);

/// Lower-case hexadecimal, two digits a byte.
std::string to_hex(std::span<const u8> bytes);

} // namespace talaria
