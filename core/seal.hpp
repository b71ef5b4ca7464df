#pragma once

#include <array>
#include <memory>
#include <span>
#include <string_view>

#include "core/integers.hpp"

namespace talaria {

/// A key that data on a disk is sealed with, or that such keys are derived of.
using SealKey = std::array<u8, 32>;

/// HKDF-SHA256 (RFC 5869): another key for every `salt` and `info`, of a secret with at least 16
/// bytes of entropy.
SealKey derive_key(std::span<const u8> secret, std::span<const u8> salt, std::span<const u8> info);
SealKey derive_key(std::span<const u8> secret, std::span<const u8> salt, std::string_view info);

/// AES-256-GCM with a random nonce for each block: nonce[12] ‖ ciphertext ‖ tag[16]. One key seals
/// up to 2^32 blocks. There is one algorithm and nothing to choose, so that nobody can choose a
/// weak one for us. The key is wiped at the end.
class Seal {
public:
  static constexpr std::size_t kOverhead = 12 + 16;

  explicit Seal(const SealKey& key);
  Seal(Seal&&) noexcept;
  Seal& operator=(Seal&&) noexcept;
  ~Seal();

  /// @param about  what the block belongs to; it is not in `out`, and has to be the same in open()
  /// @param out    plain.size() + kOverhead bytes
  void close(std::span<const u8> about, std::span<const u8> plain, std::span<u8> out) const;
  /// False if a bit of `sealed` or `about` is another than in close(); `out` then holds nothing of
  /// use. @param out  sealed.size() - kOverhead bytes
  [[nodiscard]] bool open(std::span<const u8> about, std::span<const u8> sealed,
                          std::span<u8> out) const;

private:
  struct Key;
  std::unique_ptr<Key> key_;
};

} // namespace talaria
