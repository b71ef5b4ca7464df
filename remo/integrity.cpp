#include "remo/integrity.hpp"

#include <cstring>

#include "kernels/kernel_set.hpp"
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

ProductCheck::Dots ProductCheck::sent_dots(const u8* words) const {
  const auto dot = kernels::active_kernels().dot_words;
  return {dot(words, t_[0].data(), d_in(), q_), dot(words, t_[1].data(), d_in(), q_)};
}

ProductCheck::Dots ProductCheck::reply_dots(const u8* words) const {
  const auto dot = kernels::active_kernels().dot_words;
  return {dot(words, z_[0].data(), columns(), q_), dot(words, z_[1].data(), columns(), q_)};
}

ProductCheck::Dots ProductCheck::activation_dots(const i64* x) const {
  const auto dot = kernels::active_kernels().dot_signed;
  return {dot(x, t_[0].data(), d_in(), q_), dot(x, t_[1].data(), d_in(), q_)};
}

ProductCheck::Dots ProductCheck::decoded_dots(const i64* r) const {
  const auto dot = kernels::active_kernels().dot_signed;
  return {dot(r, z_[0].data(), columns(), q_), dot(r, z_[1].data(), columns(), q_)};
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
