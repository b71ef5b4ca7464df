#include "remo/integrity.hpp"

#include <cstring>

#include "remo/samplers.hpp"

namespace talaria::remo {

ProductCheck::ProductCheck(const kernels::PackedWeights& weights, const kernels::Modulus& q,
                           Rng& rng)
    : q_(q) {
  for (std::size_t i = 0; i < kVectors; ++i) {
    z_[i] = draw_residues(q, weights.d_out(), rng);
    t_[i] = SecretBuffer<u64>(weights.d_in());
    kernels::weight_dot(weights, z_[i].data(), t_[i].data(), q);
  }
}

kernels::RowDots ProductCheck::sent(const u8* words, const i32* x) const {
  return kernels::active_kernels().row_dots32(words, x, t_[0].data(), t_[1].data(), d_in(), q_);
}

kernels::RowDots ProductCheck::received(const u8* words, const i64* r) const {
  return kernels::active_kernels().row_dots(words, r, z_[0].data(), z_[1].data(), columns(), q_);
}

bool words_below(const u8* words, std::size_t count, int word_bytes, u64 bound) {
  const u64 mask = ~u64{0} >> (64 - 8 * word_bytes);
  bool below = true;
  for (std::size_t i = 0; i < count; ++i, words += word_bytes) {
    u64 word;
    std::memcpy(&word, words, sizeof word);
    below &= (word & mask) < bound;
  }
  return below;
}

} // namespace talaria::remo
