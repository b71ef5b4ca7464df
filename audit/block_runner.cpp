#include "audit/block_runner.hpp"

#include <algorithm>

#include "kernels/attention.hpp"
#include "kernels/kernel_set.hpp"
#include "model/delta_net.hpp"
#include "model/head_preparation.hpp"
#include "model/latent_heads.hpp"
#include "model/mixture.hpp"
#include "model/per_layer_inputs.hpp"

namespace talaria::audit {

using arch::LinearKind;

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
  Layer(const arch::Layer& layer, model::LayerGains layer_gains, bool neighbours)
      : plan(&layer), gains(std::move(layer_gains)), heads(layer.attention, gains, neighbours) {
    if (layer.feed_forward.router) mixture.emplace(layer.feed_forward, gains);
    if (layer.attention.latent) latent.emplace(layer.attention);
    if (layer.delta_net) delta_net.emplace(*layer.delta_net, gains.delta);
    if (layer.delta_net) state.resize(layer.delta_net->state_numbers());
    if (layer.per_layer_input) per_layer.emplace(gains, layer.per_layer_input->norm.eps);
  }

  const arch::Layer* plan;
  model::LayerGains gains;
  model::HeadPreparation heads;
  std::optional<model::Mixture> mixture;
  std::optional<model::LatentHeads> latent;
  FloatLinear qkv, second, o, gate_up, down; ///< second: with latent attention
  std::vector<std::vector<float>> keys;      ///< per key/value head: [positions][head_dim]
  std::vector<std::vector<float>> values;    ///< [positions][value_dim]
  Rows newest; ///< k and v of the rows under way, for layers that read this one's
  std::optional<model::DeltaNet> delta_net;
  std::vector<float> state;
  std::optional<model::PerLayerBlock> per_layer;

  /// Each row goes on from the same state, which only a row that is kept changes.
  void run_delta_net(const Rows& in, Rows& out, bool keep) {
    for (Eigen::Index r = 0; r < in.rows(); ++r) {
      std::vector<float> next = state;
      const auto columns = [](const Rows& rows) { return static_cast<std::size_t>(rows.cols()); };
      delta_net->run({in.data() + r * in.cols(), 1, columns(in)}, next.data(),
                     {out.data() + r * out.cols(), 1, columns(out)}, nullptr);
      if (keep) state = std::move(next);
    }
  }

  void resize(std::size_t positions) {
    for (std::vector<float>& head : keys) head.resize(positions * plan->attention.head_dim);
    for (std::vector<float>& head : values) head.resize(positions * plan->attention.v_head_dim());
  }
  /// q, k and v of rows whose normed input is x.
  Rows heads_of(const Rows& x) const {
    Rows first = qkv(x);
    if (!latent) return first;
    Rows made(x.rows(), latent->latent_width());
    Rows kept(x.rows(), latent->kept_width());
    for (Eigen::Index r = 0; r < x.rows(); ++r)
      latent->split(first.row(r).data(), made.row(r).data(), kept.row(r).data());
    made = second(made);
    Rows joined(x.rows(), latent->joined_width());
    for (Eigen::Index r = 0; r < x.rows(); ++r)
      latent->join(kept.row(r).data(), made.row(r).data(), joined.row(r).data());
    return joined;
  }
};

struct BlockRunner::PerLayer {
  FloatLinear projection;
  model::PerLayerMixing mixing;
};

namespace {

FloatLinear load(const PublicModel& model, u32 layer, LinearKind kind,
                 const model::EnclaveTensors& tensors) {
  const model::LinearId id = model.plan().linears.of(layer, kind).id;
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

/// Rows over their root mean square, times `gain` if it is not empty.
void normalise(Rows& x, float eps, const std::vector<float>& gain = {}) {
  for (Eigen::Index r = 0; r < x.rows(); ++r) {
    float* row = x.data() + r * x.cols();
    kernels::active_kernels().rms_norm(row, gain.empty() ? nullptr : gain.data(), row,
                                       static_cast<std::size_t>(x.cols()), eps);
  }
}

/// `x`: the input of gate and up, which a router looks at. `h`: the residual stream.
Rows activated(const arch::FeedForward& shape, const std::optional<model::Mixture>& mixture,
               const Rows& x, const Rows& gate_up, Rows& h) {
  Rows out(gate_up.rows(), shape.intermediate);
  for (Eigen::Index r = 0; r < out.rows(); ++r) {
    const float* row = gate_up.data() + r * gate_up.cols();
    float* to = out.data() + r * out.cols();
    model::activate(shape, row, to);
    if (!mixture) continue;
    std::vector<float> shares(mixture->experts());
    mixture->shares_of(x.data() + r * x.cols(), static_cast<std::size_t>(x.cols()), shares.data());
    mixture->apply(shares.data(), to);
    if (mixture->adds()) mixture->add(shares.data(), h.data() + r * h.cols());
  }
  return out;
}

/// What a block adds to the residual stream.
Rows block_output(Rows x, const std::optional<arch::Norm>& norm, const std::vector<float>& gain) {
  if (norm) normalise(x, norm->eps, gain);
  return x;
}

} // namespace

BlockRunner::BlockRunner(std::shared_ptr<const PublicModel> model, u32 layers)
    : model_(std::move(model)), ropes_(model_->plan().ropes) {
  const arch::ModelPlan& plan = model_->plan();
  const auto tensors = model::load_enclave_tensors(model_->loader().tensors(), plan);
  for (u32 l = 0; l < layers; ++l) {
    const arch::Attention& attention = plan.layers[l].attention;
    Layer& layer = layers_.emplace_back(plan.layers[l], tensors.gains[l],
                                        attention.rope && plan.ropes[*attention.rope].neighbours);
    layer.qkv = load(*model_, l, LinearKind::qkv, tensors);
    if (layer.latent) layer.second = load(*model_, l, LinearKind::heads, tensors);
    layer.o = load(*model_, l, LinearKind::o, tensors);
    layer.gate_up = load(*model_, l, LinearKind::gate_up, tensors);
    layer.down = load(*model_, l, LinearKind::down, tensors);
    layer.keys.resize(attention.kv_heads);
    layer.values.resize(attention.kv_heads);
  }
  next_gain_ = tensors.gains.at(layers).attention_in;
  if (plan.per_layer_inputs)
    per_layer_.reset(
        new PerLayer{load(*model_, 0, LinearKind::per_layer_inputs, tensors),
                     {*plan.per_layer_inputs, plan.layer_count(), tensors.per_layer_gain}});
}

BlockRunner::~BlockRunner() = default;

void BlockRunner::restart() {
  length_ = 0;
  for (Layer& layer : layers_) {
    layer.resize(0);
    std::fill(layer.state.begin(), layer.state.end(), 0.0F);
  }
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
  const model::RowPositions position = ropes_.at({static_cast<u32>(length_)}, {0});
  layer.resize(length_ + 1);
  layer.newest.resize(qkv.rows(), layer.plan->attention.kv_dim() + layer.plan->attention.v_dim());
  for (Eigen::Index r = 0; r < qkv.rows(); ++r)
    attend_row(layer, qkv.data() + r * qkv.cols(), r, position, out.data() + r * out.cols());
  if (!keep) layer.resize(length_);
}

void BlockRunner::attend_row(Layer& layer, const float* qkv, Eigen::Index r,
                             const model::RowPositions& position, float* out) {
  const arch::Attention& a = layer.plan->attention;
  const std::size_t d = a.head_dim;
  const std::size_t v = a.v_head_dim();
  const std::size_t kept = a.kv_dim() + a.v_dim();
  AlignedBuffer<float> row(a.q_dim() + kept);
  float* k = row.data() + a.q_dim();
  layer.heads.prepare_row(qkv, row.data(), position, 0);
  if (a.reads_layer) std::copy_n(layers_[*a.reads_layer].newest.row(r).data(), kept, k);
  std::copy_n(k, kept, layer.newest.row(r).data());
  for (std::size_t h = 0; h < a.kv_heads; ++h) {
    std::copy_n(k + h * d, d, layer.keys[h].data() + length_ * d);
    std::copy_n(k + a.kv_dim() + h * v, v, layer.values[h].data() + length_ * v);
  }
  const std::size_t seen =
      a.window == 0 ? length_ + 1 : std::min<std::size_t>(length_ + 1, a.window);
  const std::size_t first = length_ + 1 - seen;
  const std::size_t group = a.heads / a.kv_heads;
  std::vector<float> scratch(round_up(seen + 1, 16));
  for (std::size_t h = 0; h < a.heads; ++h) {
    const kernels::KvPiece piece{layer.keys[h / group].data() + first * d,
                                 layer.values[h / group].data() + first * v, nullptr, nullptr,
                                 seen};
    const float* q = row.data() + h * d;
    float* to = out + h * v;
    kernels::AttentionQueries queries{{&q, 1}, {&seen, 1}, {&to, 1}};
    if (!layer.gains.sinks.empty()) queries.sinks = {&layer.gains.sinks[h], 1};
    kernels::attend(kernels::active_kernels(), queries, {d, a.scale, a.soft_cap, v},
                    kernels::KvFormat::fp32, {&piece, 1}, scratch.data());
  }
  layer.heads.apply_gate(qkv, out);
}

/// [tokens, layers * width]; `embeddings` with their multiplier.
Rows BlockRunner::per_layer_inputs(std::span<const u32> tokens, const Rows& embeddings) const {
  const auto table = model_->loader().per_layer_embeddings();
  Rows projected = per_layer_->projection(embeddings);
  Rows out(projected.rows(), projected.cols());
  for (std::size_t r = 0; r < tokens.size(); ++r) {
    float* const row = out.data() + r * table->hidden();
    table->lookup(tokens[r], {row, table->hidden()});
    per_layer_->mixing.mix(projected.data() + r * table->hidden(), row, row);
  }
  return out;
}

Rows BlockRunner::run(std::span<const u32> tokens, bool keep) {
  const arch::ModelPlan& plan = model_->plan();
  const auto count = static_cast<Eigen::Index>(tokens.size());
  const auto table = model_->loader().embeddings();
  Rows h(count, plan.hidden);
  for (std::size_t r = 0; r < tokens.size(); ++r)
    table->lookup(tokens[r], {h.data() + r * plan.hidden, plan.hidden});
  h *= plan.embedding_multiplier;
  const Rows inputs = per_layer_ ? per_layer_inputs(tokens, h) : Rows();
  Rows x;
  for (Layer& layer : layers_) {
    x = h;
    if (layer.plan->attention_norm)
      normalise(x, layer.plan->attention_norm->eps, layer.gains.attention_in);
    Rows mixed(count, layer.plan->mixed_dim());
    if (layer.delta_net)
      layer.run_delta_net(layer.qkv(x), mixed, keep);
    else
      attend(layer, layer.heads_of(x), mixed, keep);
    h += block_output(layer.o(mixed), layer.plan->attention_out_norm, layer.gains.attention_out);
    x = h;
    if (layer.plan->feed_forward_norm)
      normalise(x, layer.plan->feed_forward_norm->eps, layer.gains.feed_forward_in);
    const Rows inner = activated(layer.plan->feed_forward, layer.mixture, x, layer.gate_up(x), h);
    h += block_output(layer.down(inner), layer.plan->feed_forward_out_norm,
                      layer.gains.feed_forward_out);
    if (!layer.per_layer) {
      h *= layer.gains.scalar;
      continue;
    }
    const auto width = static_cast<Eigen::Index>(layer.per_layer->width());
    x = h;
    for (Eigen::Index r = 0; r < count; ++r)
      layer.per_layer->apply(x.row(r).data(),
                             inputs.row(r).data() + (&layer - layers_.data()) * width,
                             h.row(r).data());
  }
  if (const auto& norm = plan.layers[layers_.size()].attention_norm)
    normalise(h, norm->eps, next_gain_);
  return h;
}

} // namespace talaria::audit
