#include "audit/block_runner.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/kernel_set.hpp"

namespace talaria::audit {

using model::LinearKind;

/// One linear layer as floats.
struct FloatLinear {
  Rows weight; ///< [d_in, d_out]
  Eigen::RowVectorXf bias;

  Rows operator()(const Rows& x) const {
    Rows y = x * weight;
    if (bias.size() != 0) y.rowwise() += bias;
    return y;
  }
};

struct BlockRunner::Layer {
  FloatLinear qkv, o, gate_up, down;
  std::vector<float> q_norm;
  std::vector<float> k_norm;
  std::vector<std::vector<float>> keys; ///< per key/value head: [positions][head_dim]
  std::vector<std::vector<float>> values;

  /// Floats of each cache.
  void resize(std::size_t floats) {
    for (auto* cache : {&keys, &values})
      for (std::vector<float>& head : *cache) head.resize(floats);
  }
};

struct BlockRunner::Rotation {
  std::vector<float> cos;
  std::vector<float> sin;
};

namespace {

FloatLinear load(const PublicModel& model, u32 layer, LinearKind kind,
                 const model::EnclaveTensors& tensors) {
  const model::LinearId id = model::linear_id(model.config(), layer, kind);
  const model::QuantizedLinear& matrix = model.linear(id);
  FloatLinear out;
  out.weight.resize(static_cast<Eigen::Index>(matrix.d_in),
                    static_cast<Eigen::Index>(matrix.d_out));
  const bool wide = matrix.format == model::WeightFormat::int16;
  for (std::size_t j = 0; j < matrix.d_out; ++j)
    for (std::size_t i = 0; i < matrix.d_in; ++i) {
      int value = matrix.columns.at(i, j);
      if (wide) value = 256 * value + matrix.columns.at(i, matrix.d_out + j);
      out.weight(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j)) =
          static_cast<float>(value) * matrix.scale[j];
    }
  const std::vector<float>& bias = tensors.bias[id.value];
  out.bias =
      Eigen::Map<const Eigen::RowVectorXf>(bias.data(), static_cast<Eigen::Index>(bias.size()));
  return out;
}

void normalise(Rows& x, float eps) {
  for (Eigen::Index r = 0; r < x.rows(); ++r) {
    float* row = x.data() + r * x.cols();
    kernels::active_kernels().rms_norm(row, nullptr, row, static_cast<std::size_t>(x.cols()), eps);
  }
}

/// The part of a layer's tensor of all layers that is layer `layer`'s; empty stays empty.
std::vector<float> part(const std::vector<float>& all, u32 layer, std::size_t length) {
  if (all.empty()) return {};
  const auto first = all.begin() + static_cast<std::ptrdiff_t>(layer * length);
  return {first, first + static_cast<std::ptrdiff_t>(length)};
}

} // namespace

BlockRunner::BlockRunner(std::shared_ptr<const PublicModel> model, u32 layers)
    : model_(std::move(model)), layers_(layers), frequencies_(model_->config().rope_frequencies()) {
  const model::ModelConfig& config = model_->config();
  const auto tensors = model::load_enclave_tensors(model_->loader().tensors(), config);
  for (u32 l = 0; l < layers; ++l) {
    Layer& layer = layers_[l];
    layer.qkv = load(*model_, l, LinearKind::qkv, tensors);
    layer.o = load(*model_, l, LinearKind::o, tensors);
    layer.gate_up = load(*model_, l, LinearKind::gate_up, tensors);
    layer.down = load(*model_, l, LinearKind::down, tensors);
    layer.q_norm = part(tensors.q_norm, l, config.head_dim);
    layer.k_norm = part(tensors.k_norm, l, config.head_dim);
    layer.keys.resize(config.kv_heads);
    layer.values.resize(config.kv_heads);
  }
}

BlockRunner::~BlockRunner() = default;

void BlockRunner::restart() {
  length_ = 0;
  for (Layer& layer : layers_) layer.resize(0);
}

Rows BlockRunner::candidates(std::span<const u32> tokens) {
  return run(tokens, false);
}

void BlockRunner::append(u32 token) {
  run({&token, 1}, true);
  ++length_;
}

/// Attention of rows that all stand behind the prefix, each seeing the prefix and itself.
void BlockRunner::attend(Layer& layer, const Rows& qkv, Rows& out, bool keep) {
  const model::ModelConfig& config = model_->config();
  const std::size_t d = config.head_dim;
  Rotation rotation{std::vector<float>(d / 2), std::vector<float>(d / 2)};
  kernels::rope_angles(static_cast<u32>(length_), frequencies_.data(), d / 2, rotation.cos.data(),
                       rotation.sin.data());
  layer.resize((length_ + 1) * d);
  for (Eigen::Index r = 0; r < qkv.rows(); ++r)
    attend_row(layer, qkv.data() + r * qkv.cols(), rotation, out.data() + r * out.cols());
  if (!keep) layer.resize(length_ * d);
}

void BlockRunner::attend_row(Layer& layer, const float* qkv, const Rotation& rotation,
                             float* out) const {
  const auto& set = kernels::active_kernels();
  const model::ModelConfig& config = model_->config();
  const std::size_t d = config.head_dim;
  AlignedBuffer<float> row(config.q_dim() + 2 * config.kv_dim());
  std::copy_n(qkv, row.size(), row.data());
  const auto prepare = [&](float* x, std::size_t heads, const std::vector<float>& gain) {
    for (std::size_t h = 0; h < heads; ++h, x += d) {
      if (!gain.empty()) set.rms_norm(x, gain.data(), x, d, config.rms_eps);
      set.rope(x, rotation.cos.data(), rotation.sin.data(), d);
    }
  };
  float* k = row.data() + config.q_dim();
  prepare(row.data(), config.heads, layer.q_norm);
  prepare(k, config.kv_heads, layer.k_norm);
  for (std::size_t h = 0; h < config.kv_heads; ++h) {
    std::copy_n(k + h * d, d, layer.keys[h].data() + length_ * d);
    std::copy_n(k + config.kv_dim() + h * d, d, layer.values[h].data() + length_ * d);
  }
  const std::size_t seen =
      std::min<std::size_t>(length_ + 1, config.sliding_window.value_or(length_ + 1));
  const std::size_t first = (length_ + 1 - seen) * d;
  const std::size_t group = config.heads / config.kv_heads;
  std::vector<float> scratch(round_up(seen, 16));
  for (std::size_t h = 0; h < config.heads; ++h)
    set.attend(row.data() + h * d, layer.keys[h / group].data() + first,
               layer.values[h / group].data() + first, seen, d,
               1 / std::sqrt(static_cast<float>(d)), scratch.data(), out + h * d);
}

Rows BlockRunner::run(std::span<const u32> tokens, bool keep) {
  const model::ModelConfig& config = model_->config();
  const auto count = static_cast<Eigen::Index>(tokens.size());
  const auto table = model_->loader().embeddings();
  Rows h(count, config.hidden);
  for (std::size_t r = 0; r < tokens.size(); ++r)
    table->lookup(tokens[r], {h.data() + r * config.hidden, config.hidden});
  Rows x;
  for (Layer& layer : layers_) {
    x = h;
    normalise(x, config.rms_eps);
    Rows heads(count, config.q_dim());
    attend(layer, layer.qkv(x), heads, keep);
    h += layer.o(heads);
    x = h;
    normalise(x, config.rms_eps);
    const Rows gate_up = layer.gate_up(x);
    Rows active(count, config.intermediate);
    for (Eigen::Index r = 0; r < count; ++r) {
      const float* gate = gate_up.data() + r * gate_up.cols();
      kernels::active_kernels().silu_mul(gate, gate + config.intermediate,
                                         active.data() + r * active.cols(), config.intermediate);
    }
    h += layer.down(active);
  }
  normalise(h, config.rms_eps);
  return h;
}

} // namespace talaria::audit
