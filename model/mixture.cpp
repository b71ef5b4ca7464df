#include "model/mixture.hpp"

#include <bit>

#include "core/secret.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/kernel_set.hpp"

namespace talaria::model {

namespace {

/// `share` where `mask` is all ones, 0 where it is 0.
float kept(u32 mask, float share) {
  return std::bit_cast<float>(mask & std::bit_cast<u32>(share));
}

/// All ones if logit i is among the `chosen` largest, the first of equal ones counting as larger.
u32 is_chosen(const float* logits, std::size_t count, std::size_t i, u32 chosen) {
  u32 before = 0;
  for (std::size_t j = 0; j < count; ++j)
    before += static_cast<u32>(logits[j] > logits[i]) |
              (static_cast<u32>(logits[j] == logits[i]) & static_cast<u32>(j < i));
  return u32{0} - static_cast<u32>(before < chosen);
}

} // namespace

Mixture::Mixture(const arch::FeedForward& shape, const LayerGains& gains)
    : routed_(shape.routed()), chosen_(shape.router->chosen), normalise_(shape.router->normalise),
      router_(gains.router), shared_gate_(gains.shared_gate) {
  for (const arch::Expert& expert : shape.experts) widths_.push_back(expert.width);
}

void Mixture::shares_of(const float* x, std::size_t hidden, float* shares) const {
  const auto& set = kernels::active_kernels();
  SecretBuffer<float> logits(routed_);
  for (std::size_t e = 0; e < routed_; ++e)
    logits.data()[e] = set.dot(x, router_.data() + e * hidden, hidden);
  float top = logits.data()[0];
  for (std::size_t e = 1; e < routed_; ++e) top = kernels::larger(logits.data()[e], top);
  float all = 0;
  float of_chosen = 0;
  for (std::size_t e = 0; e < routed_; ++e) {
    const float weight = kernels::canonical_exp(logits.data()[e] - top);
    all += weight;
    shares[e] = kept(is_chosen(logits.data(), routed_, e, chosen_), weight);
    of_chosen += shares[e];
  }
  const float sum = normalise_ ? of_chosen : all;
  for (std::size_t e = 0; e < routed_; ++e) shares[e] /= sum;
  if (!shared_gate_.empty())
    shares[routed_] =
        1.0f / (1.0f + kernels::canonical_exp(-set.dot(x, shared_gate_.data(), hidden)));
}

void Mixture::apply(const float* shares, float* row) const {
  for (std::size_t e = 0; e < widths_.size(); ++e)
    for (const float* end = row + widths_[e]; row != end; ++row) *row *= shares[e];
}

} // namespace talaria::model
