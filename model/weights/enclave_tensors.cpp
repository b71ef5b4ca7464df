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

/// All norms of one name over the layers, one behind the other.
std::vector<float> load_head_norms(const TensorStore& store, const ModelConfig& config,
                                   const char* name) {
  std::vector<float> all;
  all.reserve(std::size_t{config.layers} * config.head_dim);
  for (u32 layer = 0; layer < config.layers; ++layer) {
    const auto tensor = fmt::format("model.layers.{}.self_attn.{}.weight", layer, name);
    const auto gain = read_vector(store, tensor, config.head_dim);
    all.insert(all.end(), gain.begin(), gain.end());
  }
  return all;
}

std::vector<float> load_bias(const TensorStore& store, const ModelConfig& config, LinearId id) {
  std::vector<float> all;
  const bool wanted = has_bias(config, linear_kind(config, id));
  for (const LinearPart& part : linear_parts(config, id)) {
    const auto name = part.base + ".bias";
    if (wanted) {
      const auto bias = read_vector(store, name, part.rows);
      all.insert(all.end(), bias.begin(), bias.end());
    } else if (store.contains(name)) {
      throw Error(Errc::model,
                  fmt::format("tensor {} is there, but config.json (model_type {}) says that this "
                              "layer has no bias",
                              name, config.model_type));
    }
  }
  return all;
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

EnclaveTensors load_enclave_tensors(const TensorStore& store, const ModelConfig& config) {
  EnclaveTensors out;
  if (config.qk_norm) {
    out.q_norm = load_head_norms(store, config, "q_norm");
    out.k_norm = load_head_norms(store, config, "k_norm");
  }
  for (u32 id = 0; id < linear_count(config); ++id)
    out.bias.push_back(load_bias(store, config, LinearId{id}));
  return out;
}

EmbeddingTable::EmbeddingTable(const TensorStore& store, const ModelConfig& config)
    : rows_(config.vocab), hidden_(config.hidden) {
  const TensorView& tensor = store.get(kEmbeddings, {rows_, hidden_});
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
