#include "model/per_layer_inputs.hpp"

#include "core/secret.hpp"
#include "kernels/elementwise.hpp"
#include "kernels/kernel_set.hpp"

namespace talaria::model {

namespace {

constexpr float kHalfRoot = 0.70710678118654752F; // 1 / sqrt(2)

} // namespace

void PerLayerMixing::mix(float* projected, const float* table, float* out) const {
  const std::size_t width = shape_.width;
  for (std::size_t l = 0; l < layers_; ++l) {
    float* const own = projected + l * width;
    kernels::active_kernels().rms_norm(own, gain_.data(), own, width, shape_.norm.eps);
    for (std::size_t i = 0; i < width; ++i)
      out[l * width + i] = (own[i] + table[l * width + i] * shape_.multiplier) * kHalfRoot;
  }
}

void PerLayerBlock::apply(const float* h, const float* input, float* out) const {
  const auto& set = kernels::active_kernels();
  const std::size_t width = this->width();
  const std::size_t hidden = tensors_.gain.size();
  SecretBuffer<float> gated(width);
  float* const g = gated.data();
  for (std::size_t i = 0; i < width; ++i)
    g[i] = set.dot(h, tensors_.gate.data() + i * hidden, hidden);
  kernels::gelu_tanh_mul(g, input, g, width);
  for (std::size_t i = 0; i < hidden; ++i)
    out[i] = set.dot(g, tensors_.projection.data() + i * width, width);
  set.rms_norm(out, tensors_.gain.data(), out, hidden, eps_);
  for (std::size_t i = 0; i < hidden; ++i) out[i] = (h[i] + out[i]) * scalar_;
}

} // namespace talaria::model
