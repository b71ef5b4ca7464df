#pragma once

#include <array>
#include <cstddef>
#include <set>
#include <span>
#include <vector>

#include "core/random.hpp"
#include "core/secret.hpp"
#include "kernels/kernel_set.hpp"
#include "kernels/modulus.hpp"
#include "kernels/packed_weights.hpp"

namespace talaria::remo {

/// Freivalds' check with two secret vectors z, or three, and t = W z mod q, the modulus of the
/// words that are checked (docs/protocol.md, Integrity). A wrong row passes with probability at
/// most q^-2, or q^-3. z and t never leave the enclave.
///
/// Where several workers hold the columns, the same z checks each shard as well: t is the sum of
/// t_s = W_s z_s over shards s, with z_s the part of z that belongs to the shard's columns, so one
/// pass over W gives both. A product whose sum fails is wrong in a shard whose own check fails.
///
/// That a worker sees whose shard was refused tells it no more than the joint check does: with
/// e_s = y_s - c W_s, which whoever sent it knows, shard s is refused iff e_s.z_s is not 0 mod q
/// for one of the z. e_s = 0 is never refused; any other e_s is, but for a share of q^-2 of all
/// z_s, which are independent of each other and of everything that left the enclave. The verdict is
/// thus the one the sender expects, and rules out at most q^-2 of what z may be.
class ProductCheck {
public:
  /// @param vectors  how many: two or three
  /// @param cuts  first columns of the shards, as LinearSpec has them.
  ProductCheck(const kernels::PackedWeights& weights, const kernels::Modulus& q,
               std::size_t vectors, Rng& rng, std::span<const std::size_t> cuts = {});

  std::size_t d_in() const noexcept { return t_[0].size(); }
  std::size_t columns() const noexcept { return z_[0].size(); }

  // Both in one pass; a null pointer leaves out its part.

  /// c.t of the d_in words of a row that is sent, or of a row of A, and x.t of d_in integers below
  /// q in magnitude: what received() of the product must equal.
  kernels::RowDots sent(const u8* words, const i32* x) const;
  /// y.z of `columns` words, of which every one must be below q, and r.z of what they decode to.
  kernels::RowDots received(const u8* words, const i64* r) const;

  /// Adds to `wrong` the shards of a row whose part of the `columns` words received is not the
  /// product of the d_in words sent. Nothing if there is one shard: then the joint check says it.
  void find_wrong_shards(const u8* sent, const u8* received, std::set<std::size_t>& wrong) const;

private:
  using Vectors = std::array<SecretBuffer<u64>, kernels::kMaxCheckVectors>;
  struct Part {
    std::size_t first = 0; ///< column
    std::size_t count = 0;
    Vectors t; ///< [d_in], of these columns alone
  };

  kernels::CheckVectors pointers(const Vectors& vectors) const;

  kernels::Modulus q_;
  std::size_t count_;
  std::vector<Part> parts_; ///< empty if there is one shard
  Vectors z_;               ///< [columns]
  Vectors t_;               ///< [d_in]
};

/// Whether all `count` words are below `bound`: kernels rely on it, so no reply is used before.
/// Reads up to 7 bytes behind the last word (the slack of an AlignedBuffer).
bool words_below(const u8* words, std::size_t count, int word_bytes, u64 bound);

} // namespace talaria::remo
