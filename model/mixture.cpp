#include "model/mixture.hpp"

#include <bit>
#include <limits>

#include "core/secret.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/kernel_set.hpp"

namespace talaria::model {

namespace {

/// `share` where `mask` is all ones, 0 where it is 0.
float kept(u32 mask, float share) {
  return std::bit_cast<float>(mask & std::bit_cast<u32>(share));
}

/// All ones if score i is among the `chosen` largest, the first of equal ones counting as larger.
u32 is_chosen(const float* scores, std::size_t count, std::size_t i, u32 chosen) {
  u32 before = 0;
  for (std::size_t j = 0; j < count; ++j)
    before += static_cast<u32>(scores[j] > scores[i]) |
              (static_cast<u32>(scores[j] == scores[i]) & static_cast<u32>(j < i));
  return u32{0} - static_cast<u32>(before < chosen);
}

float sigmoid(float x) {
  return 1.0f / (1.0f + kernels::canonical_exp(-x));
}

} // namespace

Mixture::Mixture(const arch::FeedForward& shape, const LayerGains& gains)
    : routed_(shape.routed()), rule_(*shape.router), router_(gains.router),
      shared_gate_(gains.shared_gate), router_bias_(gains.router_bias),
      choice_bias_(gains.choice_bias), down_bias_(gains.down_bias) {
  for (const arch::Expert& expert : shape.experts) widths_.push_back(expert.width);
}

/// Scores as shares are made of them (of softmax: not yet divided by their sum), and what experts
/// are chosen by.
void Mixture::score(const float* x, std::size_t hidden, float* scores, float* picks) const {
  const auto& set = kernels::active_kernels();
  for (std::size_t e = 0; e < routed_; ++e) {
    picks[e] = set.dot(x, router_.data() + e * hidden, hidden);
    if (!router_bias_.empty()) picks[e] += router_bias_[e];
  }
  float top = picks[0];
  for (std::size_t e = 1; e < routed_; ++e) top = kernels::larger(picks[e], top);
  for (std::size_t e = 0; e < routed_; ++e) {
    scores[e] = rule_.sigmoid ? sigmoid(picks[e]) : kernels::canonical_exp(picks[e] - top);
    if (rule_.sigmoid) picks[e] = scores[e];
    if (!choice_bias_.empty()) picks[e] += choice_bias_[e];
  }
}

/// Of the experts of a group.
float Mixture::group_score(const float* picks) const {
  float best = picks[0];
  float second = -std::numeric_limits<float>::infinity();
  for (std::size_t i = 1; i < routed_ / rule_.groups; ++i) {
    second = kernels::larger(second, kernels::smaller(best, picks[i]));
    best = kernels::larger(best, picks[i]);
  }
  return rule_.group_by_two ? best + second : best;
}

/// Experts outside the best groups are as good as 0 where scores are sigmoids, as in the code of
/// DeepSeek V3, whose balancing biases may make others worse than that; and otherwise have no
/// score.
void Mixture::leave_out_groups(float* scores, float* picks) const {
  if (rule_.groups == rule_.groups_chosen) return;
  const std::size_t size = routed_ / rule_.groups;
  SecretBuffer<float> groups(rule_.groups);
  for (std::size_t g = 0; g < rule_.groups; ++g) groups.data()[g] = group_score(picks + g * size);
  const float outside = rule_.sigmoid ? 0 : -std::numeric_limits<float>::infinity();
  for (std::size_t e = 0; e < routed_; ++e) {
    const u32 inside = is_chosen(groups.data(), rule_.groups, e / size, rule_.groups_chosen);
    picks[e] = std::bit_cast<float>((inside & std::bit_cast<u32>(picks[e])) |
                                    (~inside & std::bit_cast<u32>(outside)));
    if (!rule_.sigmoid) scores[e] = kept(inside, scores[e]);
  }
}

void Mixture::shares_of(const float* x, std::size_t hidden, float* shares) const {
  SecretBuffer<float> scores(routed_);
  SecretBuffer<float> picks(routed_);
  score(x, hidden, scores.data(), picks.data());
  float all = 0;
  for (std::size_t e = 0; e < routed_; ++e) all += scores.data()[e];
  leave_out_groups(scores.data(), picks.data());
  float of_chosen = 0;
  for (std::size_t e = 0; e < routed_; ++e) {
    shares[e] = kept(is_chosen(picks.data(), routed_, e, rule_.chosen), scores.data()[e]);
    of_chosen += shares[e];
  }
  const float sum = rule_.normalise ? of_chosen : rule_.sigmoid ? 1.0f : all;
  for (std::size_t e = 0; e < routed_; ++e) shares[e] = shares[e] / sum * rule_.scale;
  if (!shared_gate_.empty())
    shares[routed_] = sigmoid(kernels::active_kernels().dot(x, shared_gate_.data(), hidden));
  if (rule_.shared) shares[routed_] = 1;
}

void Mixture::apply(const float* shares, float* row) const {
  for (std::size_t e = 0; e < widths_.size(); ++e)
    for (const float* end = row + widths_[e]; row != end; ++row) *row *= shares[e];
}

void Mixture::add(const float* shares, float* row) const {
  const std::size_t hidden = down_bias_.size() / routed_;
  const float* bias = down_bias_.data();
  for (std::size_t e = 0; e < routed_; ++e, bias += hidden)
    for (std::size_t i = 0; i < hidden; ++i) row[i] += shares[e] * bias[i];
}

void activate(const arch::FeedForward& shape, const float* gate_up, float* out) {
  const std::size_t n = shape.intermediate;
  switch (shape.activation) {
  case arch::Activation::silu:
    return kernels::active_kernels().silu_mul(gate_up, gate_up + n, out, n);
  case arch::Activation::gelu_tanh:
    return kernels::gelu_tanh_mul(gate_up, gate_up + n, out, n);
  case arch::Activation::clamped_swiglu:
    return kernels::clamped_swiglu(gate_up, gate_up + n, out, n, shape.limit);
  }
}

} // namespace talaria::model
