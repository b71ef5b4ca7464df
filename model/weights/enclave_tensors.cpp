#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "core/error.hpp"
#include "model/weights/matrix_rows.hpp"
#include "model/weights/mixer_tensors.hpp"
#include "model/weights/quantized.hpp"
#include "model/weights/tensor_names.hpp"

namespace talaria::model {

namespace {

std::vector<float> load_bias(const TensorStore& store, const arch::Linear& linear) {
  std::vector<float> all;
  for (const arch::LinearPart& part : linear.parts) {
    const auto name = part.base + ".bias";
    if (linear.bias) {
      const auto bias = read_bias(store, part);
      all.insert(all.end(), bias.begin(), bias.end());
    }
    if ((!linear.bias || !part.has_bias) && store.contains(name)) {
      throw Error(Errc::model,
                  fmt::format("tensor {} is there, but config.json says that this layer "
                              "has no bias",
                              name));
    }
  }
  if (linear.multiplier != 1)
    for (float& x : all) x *= linear.multiplier;
  return all;
}

std::vector<float> load_norm(const TensorStore& store, const std::optional<arch::Norm>& norm,
                             u32 hidden) {
  if (!norm) return {};
  return read_gain(store, norm->tensor, norm->plus_one, hidden);
}

/// Lengths of the gains of q and k; 0 without a norm.
std::pair<std::size_t, std::size_t> head_norm_lengths(const arch::Attention& attention) {
  switch (attention.head_norm) {
  case arch::HeadNorm::none:
    break;
  case arch::HeadNorm::per_head:
    return {attention.head_dim, attention.head_dim};
  case arch::HeadNorm::all_heads:
    return {attention.q_dim(), attention.kv_dim()};
  }
  return {0, 0};
}

/// Of the norm before a router, which sees rows without their gain. All 1 without a norm, or where
/// rows come with the gain.
std::vector<float> router_gain(const TensorStore& store, const arch::Layer& layer,
                               const arch::ModelPlan& plan) {
  const auto& norm = layer.feed_forward_norm;
  if (!norm || plan.exact_weights) return std::vector<float>(plan.hidden, 1);
  return read_gain(store, norm->tensor, norm->plus_one, plan.hidden);
}

std::vector<float> load_router(const TensorStore& store, const std::string& name, std::size_t rows,
                               std::span<const float> gain) {
  std::vector<float> out(rows * gain.size());
  const TensorView& tensor = store.get(name, {rows, gain.size()});
  tensor.read(0, out);
  require_finite(out, tensor, 0);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] *= gain[i % gain.size()];
  return out;
}

/// All elements of a tensor [rows, columns]; none if it has no name.
std::vector<float> load_table(const TensorStore& store, const std::string& name, std::size_t rows,
                              std::size_t columns) {
  if (name.empty()) return {};
  std::vector<float> out(rows * columns);
  const TensorView& tensor = store.get(name, {rows, columns});
  tensor.read(0, out);
  require_finite(out, tensor, 0);
  return out;
}

std::vector<float> load_list(const TensorStore& store, const std::string& name,
                             std::size_t elements) {
  if (name.empty()) return {};
  return read_vector(store, name, elements);
}

LayerGains load_gains(const TensorStore& store, const arch::Layer& layer,
                      const arch::ModelPlan& plan) {
  LayerGains out;
  const arch::Attention& a = layer.attention;
  if (const auto [q, k] = head_norm_lengths(a); q != 0) {
    out.q = read_gain(store, a.q_norm.tensor, a.q_norm.plus_one, q);
    if (!a.reads_layer) out.k = read_gain(store, a.k_norm.tensor, a.k_norm.plus_one, k);
  }
  if (layer.delta_net) out.delta = load_delta_net(store, *layer.delta_net);
  if (layer.per_layer_input) out.per_layer = load_per_layer(store, layer, plan);
  if (!layer.scalar.empty()) out.scalar = read_vector(store, layer.scalar, 1).front();
  const u32 hidden = plan.hidden;
  if (plan.exact_weights) {
    out.attention_in = load_norm(store, layer.attention_norm, hidden);
    out.feed_forward_in = load_norm(store, layer.feed_forward_norm, hidden);
  }
  out.attention_out = load_norm(store, layer.attention_out_norm, hidden);
  out.feed_forward_out = load_norm(store, layer.feed_forward_out_norm, hidden);
  if (const auto& router = layer.feed_forward.router) {
    const std::vector<float> gain = router_gain(store, layer, plan);
    out.router = load_router(store, router->tensor, layer.feed_forward.routed(), gain);
    if (!router->shared_gate.empty())
      out.shared_gate = load_router(store, router->shared_gate, 1, gain);
    const std::size_t routed = layer.feed_forward.routed();
    out.router_bias = load_list(store, router->bias, routed);
    out.choice_bias = load_list(store, router->choice_bias, routed);
    out.down_bias = load_table(store, layer.feed_forward.down_bias, routed, hidden);
  }
  out.sinks = load_list(store, a.sinks, a.heads);
  return out;
}

/// The tensor in a LockedBuffer: the one it was read into, or a copy.
std::pair<std::span<const u8>, std::shared_ptr<const void>> locked_bytes(const TensorView& tensor) {
  if (tensor.memory != nullptr) return {tensor.bytes, tensor.memory};
  const auto copy = std::make_shared<LockedBuffer>(tensor.size_bytes());
  TensorReader(tensor).read_bytes(0, copy->span());
  return {copy->span(), copy};
}

/// Biases of the parts of a matrix; one tensor may have those of several.
void keep_biases(const arch::Linear& linear, std::vector<KeptTensor>& kept) {
  std::string last;
  for (const arch::LinearPart& part : linear.parts) {
    if (!part.has_bias) continue;
    if (!part.stacked || part.stacked->bias.empty()) {
      kept.push_back({part.base + ".bias", {part.size}});
    } else if (part.stacked->bias != last) {
      last = part.stacked->bias;
      kept.push_back({last, {part.stacked->count, part.stacked->outputs}});
    }
  }
}

} // namespace

void require_finite(std::span<const float> values, const TensorView& tensor, std::size_t first) {
  const auto bad =
      std::find_if(values.begin(), values.end(), [](float x) { return !std::isfinite(x); });
  if (bad != values.end())
    throw Error(Errc::model,
                fmt::format("{}: tensor {}: element {} is {}", tensor.file, tensor.name,
                            first + static_cast<std::size_t>(bad - values.begin()),
                            std::isnan(*bad) ? "NaN" : "infinite"));
}

std::vector<float> read_vector(const TensorStore& store, const std::string& name,
                               std::size_t elements) {
  std::vector<float> values(elements);
  const TensorView& tensor = store.get(name, {elements});
  tensor.read(0, values);
  require_finite(values, tensor, 0);
  return values;
}

std::vector<float> read_gain(const TensorStore& store, const std::string& name, bool plus_one,
                             std::size_t elements) {
  std::vector<float> gain = read_vector(store, name, elements);
  if (plus_one)
    for (float& x : gain) x += 1;
  return gain;
}

std::vector<KeptTensor> kept_tensors(const arch::ModelPlan& plan) {
  std::vector<KeptTensor> kept{{plan.embedding, {plan.vocab, plan.hidden}}};
  if (const auto& inputs = plan.per_layer_inputs) {
    kept.push_back({inputs->table, {inputs->tokens, plan.layers.size() * inputs->width}});
    kept.push_back({inputs->norm.tensor, {inputs->width}});
  }
  for (const arch::Layer& layer : plan.layers) {
    if (const auto [q, k] = head_norm_lengths(layer.attention); q != 0) {
      kept.push_back({layer.attention.q_norm.tensor, {q}});
      if (!layer.attention.reads_layer) kept.push_back({layer.attention.k_norm.tensor, {k}});
    }
    add_kept_of_mixers(layer, plan, kept);
    // Also where they are folded into matrices: adapters need them (model/adapter).
    for (const auto& norm : {layer.attention_norm, layer.feed_forward_norm})
      if (norm) kept.push_back({norm->tensor, {plan.hidden}});
    for (const auto& norm : {layer.attention_out_norm, layer.feed_forward_out_norm})
      if (norm) kept.push_back({norm->tensor, {plan.hidden}});
    if (const auto& router = layer.feed_forward.router) {
      kept.push_back({router->tensor, {layer.feed_forward.routed(), plan.hidden}});
      if (!router->shared_gate.empty()) kept.push_back({router->shared_gate, {1, plan.hidden}});
      const std::size_t routed = layer.feed_forward.routed();
      for (const std::string& name : {router->bias, router->choice_bias})
        if (!name.empty()) kept.push_back({name, {routed}});
      if (const std::string& name = layer.feed_forward.down_bias; !name.empty())
        kept.push_back({name, {routed, plan.hidden}});
    }
    if (const auto& latent = layer.attention.latent) {
      if (latent->query_rank != 0)
        kept.push_back({latent->query_norm.tensor, {latent->query_rank}});
      kept.push_back({latent->kv_norm.tensor, {latent->kv_rank}});
    }
    if (!layer.attention.sinks.empty())
      kept.push_back({layer.attention.sinks, {layer.attention.heads}});
  }
  // Folded into lm_head, and kept beside it: the same folder may be served for embeddings.
  kept.push_back({plan.final_norm.tensor, {plan.hidden}});
  if (!plan.score.empty()) kept.push_back({plan.score, {1, plan.hidden}});
  for (const arch::Linear& linear : plan.linears)
    if (linear.bias) keep_biases(linear, kept);
  return kept;
}

EnclaveTensors load_enclave_tensors(const TensorStore& store, const arch::ModelPlan& plan) {
  EnclaveTensors out;
  const auto& inputs = plan.per_layer_inputs;
  if (inputs)
    out.per_layer_gain =
        read_gain(store, inputs->norm.tensor, inputs->norm.plus_one, inputs->width);
  if (plan.exact_weights || plan.head != arch::Head::tokens)
    out.final_gain = load_norm(store, plan.final_norm, plan.hidden);
  out.score = load_table(store, plan.score, 1, plan.hidden);
  for (const arch::Layer& layer : plan.layers) out.gains.push_back(load_gains(store, layer, plan));
  for (const arch::Linear& linear : plan.linears) out.bias.push_back(load_bias(store, linear));
  return out;
}

EmbeddingTable::EmbeddingTable(const TensorStore& store, const arch::ModelPlan& plan)
    : EmbeddingTable(store, plan.embedding, plan.vocab, plan.hidden) {}

EmbeddingTable::EmbeddingTable(const TensorStore& store, const std::string& name, std::size_t rows,
                               std::size_t width)
    : rows_(rows), hidden_(width) {
  const TensorView& tensor = store.get(name, {rows_, hidden_});
  dtype_ = tensor.dtype;
  std::tie(table_, memory_) = locked_bytes(tensor);
  // Looked at here, all of it, so that no token can make a running sequence fail later.
  std::vector<float> row(hidden_);
  for (std::size_t token = 0; token < rows_; ++token) {
    lookup(static_cast<u32>(token), row);
    require_finite(row, tensor, token * hidden_);
  }
}

void EmbeddingTable::lookup(u32 token, std::span<float> out) const {
  if (token >= rows_ || out.size() != hidden_)
    throw Error(Errc::internal, "embedding lookup outside the table");
  widen(dtype_, table_.data() + token * row_bytes(), out);
}

} // namespace talaria::model
