#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>

#include "core/integers.hpp"

namespace talaria {

/// A source of uniform bytes. Not thread-safe: one per thread.
class Rng {
public:
  virtual ~Rng() = default;
  /// Fills `out` with uniform bytes.
  virtual void fill(std::span<u8> out) = 0;

  /// Uniform in [0, bound), bound > 0, by rejection.
  u64 below(u64 bound);
};

/// ChaCha20 keystream (RFC 8439) by OpenSSL. With `from_system` the 256-bit key comes from the
/// operating system: for keys, check vectors and sampling (masks have AesRng). The key is wiped at
/// the end.
class ChaChaRng final : public Rng {
public:
  /// Keyed by getrandom(2) at this moment. In a forked child it takes another key first.
  /// @throws Error{internal} if the system yields no randomness.
  static ChaChaRng from_system();
  /// A reproducible stream, for tests and for sampling tokens with a user's seed.
  ChaChaRng(std::span<const u8, 32> key, u64 stream);
  ChaChaRng(ChaChaRng&&) noexcept;
  ChaChaRng& operator=(ChaChaRng&&) noexcept;
  ~ChaChaRng() override;

  void fill(std::span<u8> out) override;

private:
  struct Context;
  std::unique_ptr<Context> context_;
  u64 epoch_ = 0; ///< process_epoch() when it was keyed by the system; 0: a key was given
};

/// The stream number `stream` of the generator whose key is SHA-256 of `seed` in little-endian; the
/// same everywhere. For reproducible tests and for `--seed`, never for masks.
ChaChaRng seeded_rng(u64 seed, u64 stream = 0);

} // namespace talaria
