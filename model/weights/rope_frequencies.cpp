#include <cmath>
#include <numbers>

#include "model/weights/model_config.hpp"

namespace talaria::model {

namespace {

/// transformers' `_compute_llama3_parameters`: high frequencies stay, low ones are divided by
/// `factor`, those between are blended. In double on the fp32 frequency, rounded once at the end.
float stretch_llama3(float frequency, const RopeScaling& scaling) {
  const double x = frequency;
  const double original = scaling.original_max_position;
  const double low = scaling.low_freq_factor;
  const double high = scaling.high_freq_factor;
  const double wavelength = 2 * std::numbers::pi / x;
  if (wavelength < original / high) return frequency;
  if (wavelength > original / low) return static_cast<float>(x / scaling.factor);
  const double smooth = (original / wavelength - low) / (high - low);
  return static_cast<float>((1 - smooth) * x / scaling.factor + smooth * x);
}

} // namespace

std::vector<float> ModelConfig::rope_frequencies() const {
  std::vector<float> out(head_dim / 2);
  for (std::size_t i = 0; i < out.size(); ++i) {
    // torch: 1.0 / theta ** (arange(0, head_dim, 2).float() / head_dim), each step in fp32.
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(head_dim);
    const float power = static_cast<float>(std::pow(double{rope_theta}, double{exponent}));
    const float frequency = 1.0f / power;
    switch (rope_scaling.kind) {
    case RopeScaling::Kind::none:
      out[i] = frequency;
      break;
    case RopeScaling::Kind::linear:
      out[i] = frequency / rope_scaling.factor;
      break;
    case RopeScaling::Kind::llama3:
      out[i] = stretch_llama3(frequency, rope_scaling);
      break;
    }
  }
  return out;
}

} // namespace talaria::model
