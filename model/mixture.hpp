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
  /// Softmax in fp32 on fp32 logits; of equal logits the first wins.
  void shares_of(const float* x, std::size_t hidden, float* shares) const;
  /// Multiplies the activations of each expert, side by side in `row`, by its share.
  void apply(const float* shares, float* row) const;

private:
  std::vector<u32> widths_; ///< by expert
  std::size_t routed_;
  u32 chosen_;
  bool normalise_;
  std::vector<float> router_;
  std::vector<float> shared_gate_;
};

} // namespace talaria::model
