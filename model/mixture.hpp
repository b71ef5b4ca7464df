#pragma once

#include <vector>

#include "arch/model_plan.hpp"
#include "model/weights/quantized.hpp"

namespace talaria::model {

/// The shares that the experts of a layer have in a row. Time and addresses do not depend on which
/// are chosen.
class Mixture {
public:
  /// @param shape a feed-forward with a router.
  Mixture(const arch::FeedForward& shape, const LayerGains& gains);

  std::size_t experts() const noexcept { return widths_.size(); }
  /// Of a row x [hidden], normed, without the norm's gain: shares [experts], 0 for most.
  /// In fp32 on fp32 logits; of equal ones the first wins.
  void shares_of(const float* x, std::size_t hidden, float* shares) const;
  /// Multiplies the activations of each expert, side by side in `row`, by its share.
  void apply(const float* shares, float* row) const;
  /// Whether experts add something besides their matrices, and that: row [hidden] += the sum of
  /// the bias of each expert times its share, in the order of experts.
  bool adds() const noexcept { return !down_bias_.empty(); }
  void add(const float* shares, float* row) const;

private:
  void score(const float* x, std::size_t hidden, float* scores, float* picks) const;
  void leave_out_groups(float* scores, float* picks) const;
  float group_score(const float* picks) const;

  std::vector<u32> widths_; ///< by expert
  std::size_t routed_;
  arch::Router rule_;
  std::vector<float> router_;
  std::vector<float> shared_gate_;
  std::vector<float> router_bias_;
  std::vector<float> choice_bias_;
  std::vector<float> down_bias_;
};

/// out [intermediate] of gate and up [2 intermediate], as `shape` has it, shares left out.
void activate(const arch::FeedForward& shape, const float* gate_up, float* out);

} // namespace talaria::model
