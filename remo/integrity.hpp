#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "core/random.hpp"
#include "core/secret.hpp"
#include "kernels/kernel_set.hpp"
#include "kernels/modulus.hpp"
#include "kernels/packed_weights.hpp"

namespace talaria::remo {

/// Freivalds' check with two secret vectors z, and t = W z mod q (REMO.md section 3 "Integrity"). A
/// wrong row passes with probability at most q^-2. z and t never leave the enclave.
class ProductCheck {
public:
  static constexpr std::size_t kVectors = 2;
  /// One inner product with each vector.
  using Dots = std::array<u64, kVectors>;

  ProductCheck(const kernels::PackedWeights& weights, const kernels::Modulus& q, Rng& rng);

  std::size_t d_in() const noexcept { return t_[0].size(); }
  std::size_t columns() const noexcept { return z_[0].size(); }

  // Both in one pass; a null pointer leaves out its part.

  /// c.t of the d_in words of a row that is sent, or of a row of A, and x.t of d_in integers below
  /// q in magnitude: what received() of the product must equal.
  kernels::RowDots sent(const u8* words, const i32* x) const;
  /// y.z of `columns` words, of which every one must be below q, and r.z of what they decode to.
  kernels::RowDots received(const u8* words, const i64* r) const;

private:
  kernels::Modulus q_;
  std::array<SecretBuffer<u64>, kVectors> z_; ///< [columns]
  std::array<SecretBuffer<u64>, kVectors> t_; ///< [d_in]
};

/// Whether all `count` words are below `bound`: kernels rely on it, so no reply is used before.
/// Reads up to 7 bytes behind the last word (the slack of an AlignedBuffer).
bool words_below(const u8* words, std::size_t count, int word_bytes, u64 bound);

} // namespace talaria::remo
