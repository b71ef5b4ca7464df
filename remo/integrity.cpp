#include "remo/integrity.hpp"

#include <cstring>

#include "core/error.hpp"
#include "remo/samplers.hpp"

namespace talaria::remo {

ProductCheck::ProductCheck(const kernels::PackedWeights& weights, const kernels::Modulus& q,
                           std::size_t vectors, Rng& rng, std::span<const std::size_t> cuts)
    : q_(q), count_(vectors) {
  if (count_ < 2 || count_ > kernels::kMaxCheckVectors)
    throw Error(Errc::internal, "a check with neither two vectors nor three");
  constexpr std::size_t kPanel = kernels::PackedWeights::kPanel;
  for (std::size_t s = 0; cuts.size() > 1 && s < cuts.size(); ++s) {
    const std::size_t end = s + 1 < cuts.size() ? cuts[s + 1] : weights.d_out();
    if (cuts[s] % kPanel != 0 || cuts[s] >= end || end > weights.d_out() || cuts[0] != 0)
      throw Error(Errc::internal, "shards that are no runs of whole panels");
    parts_.push_back({cuts[s], end - cuts[s], {}});
  }
  for (std::size_t i = 0; i < count_; ++i) {
    z_[i] = draw_residues(q, weights.d_out(), rng);
    t_[i] = SecretBuffer<u64>(weights.d_in());
    if (parts_.empty()) kernels::weight_dot(weights, z_[i].data(), t_[i].data(), q);
    for (Part& part : parts_) {
      part.t[i] = SecretBuffer<u64>(weights.d_in());
      kernels::weight_dot(weights, z_[i].data(), part.t[i].data(), q, part.first / kPanel,
                          (part.first + part.count + kPanel - 1) / kPanel);
      for (std::size_t j = 0; j < weights.d_in(); ++j) t_[i][j] = q.add(t_[i][j], part.t[i][j]);
    }
  }
}

kernels::CheckVectors ProductCheck::pointers(const Vectors& vectors) const {
  kernels::CheckVectors out;
  out.count = count_;
  for (std::size_t i = 0; i < count_; ++i) out.z[i] = vectors[i].data();
  return out;
}

void ProductCheck::find_wrong_shards(const u8* sent, const u8* received,
                                     std::set<std::size_t>& wrong) const {
  const kernels::KernelSet& kernels = kernels::active_kernels();
  for (std::size_t s = 0; s < parts_.size(); ++s) {
    const Part& part = parts_[s];
    const auto expected = kernels.row_dots32(sent, nullptr, pointers(part.t), d_in(), q_);
    const auto dots =
        kernels.row_dots(received + part.first * static_cast<std::size_t>(q_.word_bytes), nullptr,
                         pointers(z_).from(part.first), part.count, q_);
    if (!dots.below || dots.words != expected.words) wrong.insert(s);
  }
}

kernels::RowDots ProductCheck::sent(const u8* words, const i32* x) const {
  return kernels::active_kernels().row_dots32(words, x, pointers(t_), d_in(), q_);
}

kernels::RowDots ProductCheck::received(const u8* words, const i64* r) const {
  return kernels::active_kernels().row_dots(words, r, pointers(z_), columns(), q_);
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
