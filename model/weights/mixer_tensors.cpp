#include "model/weights/mixer_tensors.hpp"

#include <fmt/format.h>

#include <cmath>
#include <string>

#include "core/error.hpp"

namespace talaria::model {

namespace {

std::vector<float> read_tensor(const TensorStore& store, const std::string& name,
                               const std::vector<std::size_t>& shape) {
  const TensorView& tensor = store.get(name, shape);
  std::vector<float> values(tensor.elements());
  tensor.read(0, values);
  require_finite(values, tensor, 0);
  return values;
}

/// [channels][taps] as stored to [taps][channels], so that channels lie side by side.
std::vector<float> by_tap(const std::vector<float>& stored, std::size_t taps) {
  const std::size_t channels = stored.size() / taps;
  std::vector<float> out(stored.size());
  for (std::size_t c = 0; c < channels; ++c)
    for (std::size_t i = 0; i < taps; ++i) out[i * channels + c] = stored[c * taps + i];
  return out;
}

std::vector<float> exponentials(std::vector<float> logarithms, const std::string& name) {
  for (float& x : logarithms) {
    x = static_cast<float>(std::exp(double{x}));
    if (!std::isfinite(x))
      throw Error(Errc::model, fmt::format("tensor {}: an exponential overflows fp32", name));
  }
  return logarithms;
}

/// -exp(A) as stored to exp(A).
std::vector<float> rates(std::vector<float> stored, const std::string& name) {
  for (float& x : stored) {
    x = -x;
    if (!(x >= 0))
      throw Error(Errc::model,
                  fmt::format("tensor {}: expected -exp(A), which is not above 0", name));
  }
  return stored;
}

std::string bias_of(const std::string& weight) {
  return weight.substr(0, weight.rfind('.')) + ".bias";
}

} // namespace

DeltaTensors load_delta_net(const TensorStore& store, const arch::DeltaNet& net) {
  if (const std::string bias = bias_of(net.convolution); store.contains(bias))
    throw Error(Errc::model, fmt::format("tensor {} is there, but convolutions with a bias are not "
                                         "computed",
                                         bias));
  DeltaTensors out;
  out.taps = by_tap(read_tensor(store, net.convolution, {net.channels(), 1, net.taps}), net.taps);
  const auto decay = read_vector(store, net.decay, net.value_heads);
  out.decay = net.decay_is_rate ? rates(decay, net.decay) : exponentials(decay, net.decay);
  out.step = read_vector(store, net.step, net.value_heads);
  out.gain = read_gain(store, net.norm.tensor, net.norm.plus_one, net.value_head_dim);
  return out;
}

PerLayerTensors load_per_layer(const TensorStore& store, const arch::Layer& layer,
                               const arch::ModelPlan& plan) {
  const arch::PerLayerInput& input = *layer.per_layer_input;
  const std::size_t hidden = plan.hidden;
  const std::size_t width = plan.per_layer_inputs->width;
  PerLayerTensors out;
  out.gate = read_tensor(store, input.gate, {width, hidden});
  out.projection = read_tensor(store, input.projection, {hidden, width});
  out.gain = read_gain(store, input.norm.tensor, input.norm.plus_one, hidden);
  return out;
}

void add_kept_of_mixers(const arch::Layer& layer, const arch::ModelPlan& plan,
                        std::vector<KeptTensor>& kept) {
  if (const auto& net = layer.delta_net) {
    kept.push_back({net->convolution, {net->channels(), 1, net->taps}});
    kept.push_back({net->decay, {net->value_heads}});
    kept.push_back({net->step, {net->value_heads}});
    kept.push_back({net->norm.tensor, {net->value_head_dim}});
  }
  if (const auto& input = layer.per_layer_input) {
    const std::size_t width = plan.per_layer_inputs->width;
    kept.push_back({input->gate, {width, plan.hidden}});
    kept.push_back({input->projection, {plan.hidden, width}});
    kept.push_back({input->norm.tensor, {plan.hidden}});
  }
  if (!layer.scalar.empty()) kept.push_back({layer.scalar, {1}});
}

} // namespace talaria::model
