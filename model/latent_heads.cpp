#include "model/latent_heads.hpp"

#include <algorithm>

#include "kernels/kernel_set.hpp"

namespace talaria::model {

LatentHeads::LatentHeads(const arch::Attention& attention)
    : attention_(attention), latent_(*attention.latent) {}

std::size_t LatentHeads::latent_width() const noexcept {
  return std::size_t{latent_.query_rank} + latent_.kv_rank;
}

std::size_t LatentHeads::kept_width() const noexcept {
  return (latent_.query_rank == 0 ? queries() : 0) + latent_.turned;
}

std::size_t LatentHeads::joined_width() const noexcept {
  return queries() + attention_.kv_dim() + attention_.v_dim();
}

void LatentHeads::split(const float* row, float* latent, float* kept) const {
  const auto& set = kernels::active_kernels();
  if (latent_.query_rank != 0) {
    set.rms_norm(row, nullptr, latent, latent_.query_rank, latent_.query_norm.eps);
    row += latent_.query_rank;
    latent += latent_.query_rank;
  } else {
    kept = std::copy_n(row, queries(), kept);
    row += queries();
  }
  set.rms_norm(row, nullptr, latent, latent_.kv_rank, latent_.kv_norm.eps);
  std::copy_n(row + latent_.kv_rank, latent_.turned, kept);
}

void LatentHeads::join(const float* kept, const float* made, float* joined) const {
  const arch::Attention& a = attention_;
  const std::size_t turned = latent_.turned;
  const float*& from = latent_.query_rank == 0 ? kept : made;
  for (std::size_t h = 0; h < a.heads; ++h) {
    joined = std::copy_n(from + still(), turned, joined);
    joined = std::copy_n(from, still(), joined);
    from += a.head_dim;
  }
  float* values = joined + a.kv_dim();
  for (std::size_t h = 0; h < a.heads; ++h) {
    joined = std::copy_n(kept, turned, joined);
    joined = std::copy_n(made, still(), joined);
    values = std::copy_n(made + still(), a.v_head_dim(), values);
    made += still() + a.v_head_dim();
  }
}

} // namespace talaria::model
