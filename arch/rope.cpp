#include "arch/rope.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace talaria::arch {

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

/// transformers' `yarn_find_correction_dim`: the index of the pair that turns `turns` times within
/// the original length.
double pair_of(double turns, double theta, u32 rotated, const RopeScaling& scaling) {
  return rotated * std::log(scaling.original_max_position / (turns * 2 * std::numbers::pi)) /
         (2 * std::log(theta));
}

/// 1 - ramp of `_compute_yarn_parameters` for each pair: 1 keeps the frequency, 0 divides it.
std::vector<float> kept_by_yarn(float theta, u32 rotated, const RopeScaling& scaling) {
  double low = pair_of(scaling.beta_fast, theta, rotated, scaling);
  double high = pair_of(scaling.beta_slow, theta, rotated, scaling);
  if (scaling.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(rotated) - 1);
  if (low == high) high += 0.001;
  std::vector<float> kept(rotated / 2);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    const float ramp =
        (static_cast<float>(i) - static_cast<float>(low)) / static_cast<float>(high - low);
    kept[i] = 1 - std::clamp(ramp, 0.0f, 1.0f);
  }
  return kept;
}

float yarn_magnitude(const RopeScaling& s) {
  if (s.attention_factor) return *s.attention_factor;
  if (s.mscale != 0 && s.mscale_all_dim != 0)
    return static_cast<float>(yarn_mscale(s.factor, s.mscale) /
                              yarn_mscale(s.factor, s.mscale_all_dim));
  return static_cast<float>(yarn_mscale(s.factor, 1));
}

float longrope_magnitude(const RopeScaling& s) {
  if (s.attention_factor) return *s.attention_factor;
  if (s.factor <= 1) return 1;
  return static_cast<float>(std::sqrt(
      1 + std::log(double{s.factor}) / std::log(static_cast<double>(s.original_max_position))));
}

/// transformers: int(partial_rotary_factor head_dim // 2).
std::size_t turning_pairs(u32 rotated, const RopeScaling& s) {
  return static_cast<std::size_t>(std::floor(double{s.turning} * rotated / 2));
}

} // namespace

double yarn_mscale(double factor, double mscale) {
  return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1;
}

RopeScaling RopeScaling::linear(float factor) {
  RopeScaling out;
  out.kind = Kind::linear;
  out.factor = factor;
  return out;
}

RopeScaling RopeScaling::llama3(float factor, float low, float high, u32 original) {
  RopeScaling out;
  out.kind = Kind::llama3;
  out.factor = factor;
  out.low_freq_factor = low;
  out.high_freq_factor = high;
  out.original_max_position = original;
  return out;
}

std::vector<float> Rope::frequencies_at(u32 length) const {
  if (original_length != 0 && length > original_length) return long_frequencies;
  if (dynamic_length == 0 || length <= dynamic_length) return frequencies;
  // transformers' `_compute_dynamic_ntk_parameters`
  const double rotated = 2.0 * static_cast<double>(frequencies.size());
  const double grown = double{dynamic_factor} * length / dynamic_length - (dynamic_factor - 1);
  const double stretched = theta * std::pow(grown, rotated / (rotated - 2));
  std::vector<float> out(frequencies.size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(rotated);
    out[i] = 1.0f / static_cast<float>(std::pow(stretched, double{exponent}));
  }
  return out;
}

Rope make_rope(std::string name, float theta, u32 rotated, const RopeScaling& scaling) {
  using Kind = RopeScaling::Kind;
  Rope rope;
  rope.name = std::move(name);
  rope.frequencies.resize(rotated / 2);
  std::vector<float> kept;
  if (scaling.kind == Kind::yarn) {
    kept = kept_by_yarn(theta, rotated, scaling);
    rope.magnitude = yarn_magnitude(scaling);
  }
  if (scaling.kind == Kind::dynamic) {
    rope.dynamic_length = scaling.original_max_position;
    rope.dynamic_factor = scaling.factor;
    rope.theta = theta;
  }
  if (scaling.kind == Kind::longrope) {
    rope.magnitude = longrope_magnitude(scaling);
    // One set for every length (GGUF's rope_freqs): nothing depends on the length.
    if (scaling.short_factor != scaling.long_factor)
      rope.original_length = scaling.original_max_position;
    rope.long_frequencies.resize(rotated / 2);
  }
  for (std::size_t i = 0; i < rope.frequencies.size(); ++i) {
    // torch: 1.0 / theta ** (arange(0, rotated, 2).float() / rotated), each step in fp32.
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(rotated);
    const float power = static_cast<float>(std::pow(double{theta}, double{exponent}));
    const float frequency = 1.0f / power;
    float& out = rope.frequencies[i];
    out = frequency;
    if (scaling.kind == Kind::linear) out = frequency / scaling.factor;
    if (scaling.kind == Kind::proportional)
      out = i < turning_pairs(rotated, scaling) ? frequency / scaling.factor : 0;
    if (scaling.kind == Kind::llama3) out = stretch_llama3(frequency, scaling);
    if (scaling.kind == Kind::yarn)
      out = 1.0f / (scaling.factor * power) * (1 - kept[i]) + frequency * kept[i];
    if (scaling.kind == Kind::longrope) {
      out = 1.0f / (scaling.short_factor[i] * power);
      rope.long_frequencies[i] = 1.0f / (scaling.long_factor[i] * power);
    }
  }
  return rope;
}

} // namespace talaria::arch
