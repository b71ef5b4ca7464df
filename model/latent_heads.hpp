#pragma once

#include <cstddef>

#include "arch/model_plan.hpp"

namespace talaria::model {

/// What latent attention (arch::Latent) does around its second matrix, row by row:
///
///   [queries or what they are made of | what keys and values are made of | key that turns]
///      split ──► latent, normed without gains ──► matrix `heads` ──► join ──► [q | k | v]
///      └──────── kept: queries that need no matrix, key that turns ───────────┘
class LatentHeads {
public:
  /// @param attention with `latent`.
  explicit LatentHeads(const arch::Attention& attention);

  std::size_t latent_width() const noexcept; ///< inputs of the second matrix
  std::size_t kept_width() const noexcept;
  std::size_t joined_width() const noexcept; ///< q, k and v of all heads

  void split(const float* row, float* latent, float* kept) const;
  /// `made`: what the second matrix gives: queries (if they are made there), then for each head the
  /// part of its key that does not turn, and its value. In q and k what turns comes first.
  void join(const float* kept, const float* made, float* joined) const;

private:
  std::size_t queries() const noexcept { return attention_.q_dim(); }
  std::size_t still() const noexcept { return attention_.head_dim - latent_.turned; }

  arch::Attention attention_;
  arch::Latent latent_;
};

} // namespace talaria::model
