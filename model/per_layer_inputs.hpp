#pragma once

#include <cstddef>
#include <vector>

#include "arch/model_plan.hpp"
#include "model/weights/quantized.hpp"

namespace talaria::model {

/// Makes the inputs of all layers of one row (arch::PerLayerInputs).
class PerLayerMixing {
public:
  PerLayerMixing(const arch::PerLayerInputs& shape, std::size_t layers, std::vector<float> gain)
      : shape_(shape), layers_(layers), gain_(std::move(gain)) {}

  /// out [layers * width]; may be `table`.
  /// @param projected what the matrix gave; it is overwritten
  /// @param table the token's row of the table
  void mix(float* projected, const float* table, float* out) const;

private:
  arch::PerLayerInputs shape_;
  std::size_t layers_;
  std::vector<float> gain_;
};

/// What a layer adds by the token itself (arch::PerLayerInput), and its scalar.
class PerLayerBlock {
public:
  PerLayerBlock(const LayerGains& gains, float eps)
      : tensors_(gains.per_layer), scalar_(gains.scalar), eps_(eps) {}

  std::size_t width() const noexcept {
    return tensors_.gain.empty() ? 0 : tensors_.gate.size() / tensors_.gain.size();
  }
  /// out [hidden] = scalar (h + norm(projection (gelu_tanh(gate h) * input))); not in place.
  /// @param input of this layer, [width]
  void apply(const float* h, const float* input, float* out) const;

private:
  PerLayerTensors tensors_;
  float scalar_;
  float eps_;
};

} // namespace talaria::model
