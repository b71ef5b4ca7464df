#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "core/error.hpp"
#include "model/weights/quantized.hpp"
#include "model/weights/tensor_names.hpp"

namespace talaria::model {

namespace {

std::vector<float> load_bias(const TensorStore& store, const arch::Linear& linear) {
  std::vector<float> all;
  for (const arch::LinearPart& part : linear.parts) {
    const auto name = part.base + ".bias";
    if (linear.bias) {
      const auto bias = read_vector(store, name, part.rows);
      all.insert(all.end(), bias.begin(), bias.end());
    } else if (store.contains(name)) {
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

std::vector<float> load_out_norm(const TensorStore& store, const std::optional<arch::Norm>& norm,
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

LayerGains load_gains(const TensorStore& store, const arch::Layer& layer, u32 hidden) {
  LayerGains out;
  const arch::Attention& a = layer.attention;
  if (const auto [q, k] = head_norm_lengths(a); q != 0) {
    out.q = read_gain(store, a.q_norm.tensor, a.q_norm.plus_one, q);
    out.k = read_gain(store, a.k_norm.tensor, a.k_norm.plus_one, k);
  }
  out.attention_out = load_out_norm(store, layer.attention_out_norm, hidden);
  out.feed_forward_out = load_out_norm(store, layer.feed_forward_out_norm, hidden);
  return out;
}

/// The tensor in a LockedBuffer: the one it was read into, or a copy.
std::pair<std::span<const u8>, std::shared_ptr<const void>> locked_bytes(const TensorView& tensor) {
  if (tensor.memory != nullptr) return {tensor.bytes, tensor.memory};
  const auto copy = std::make_shared<LockedBuffer>(tensor.size_bytes());
  TensorReader(tensor).read_bytes(0, copy->span());
  return {copy->span(), copy};
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
  for (const arch::Layer& layer : plan.layers) {
    if (const auto [q, k] = head_norm_lengths(layer.attention); q != 0) {
      kept.push_back({layer.attention.q_norm.tensor, {q}});
      kept.push_back({layer.attention.k_norm.tensor, {k}});
    }
    for (const auto& norm : {layer.attention_out_norm, layer.feed_forward_out_norm})
      if (norm) kept.push_back({norm->tensor, {plan.hidden}});
  }
  for (const arch::Linear& linear : plan.linears)
    if (linear.bias)
      for (const arch::LinearPart& part : linear.parts)
        kept.push_back({part.base + ".bias", {part.rows}});
  return kept;
}

EnclaveTensors load_enclave_tensors(const TensorStore& store, const arch::ModelPlan& plan) {
  EnclaveTensors out;
  for (const arch::Layer& layer : plan.layers)
    out.gains.push_back(load_gains(store, layer, plan.hidden));
  for (const arch::Linear& linear : plan.linears) out.bias.push_back(load_bias(store, linear));
  return out;
}

EmbeddingTable::EmbeddingTable(const TensorStore& store, const arch::ModelPlan& plan)
    : rows_(plan.vocab), hidden_(plan.hidden) {
  const TensorView& tensor = store.get(plan.embedding, {rows_, hidden_});
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
