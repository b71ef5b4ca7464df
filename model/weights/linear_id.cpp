#include <fmt/format.h>

#include "core/error.hpp"
#include "model/weights/quantized.hpp"
#include "model/weights/tensor_names.hpp"

namespace talaria::model {

namespace {

constexpr const char* kKindNames[] = {"qkv", "o", "gate_up", "down", "lm_head"};
constexpr u32 kPerLayer = 4;

void check(const ModelConfig& config, LinearId id) {
  if (id.value >= linear_count(config))
    throw Error(Errc::internal,
                fmt::format("linear layer {} of {}", id.value, linear_count(config)));
}

} // namespace

u32 linear_count(const ModelConfig& config) {
  return config.layers * kPerLayer + 1;
}

LinearId linear_id(const ModelConfig& config, u32 layer, LinearKind kind) {
  if (kind == LinearKind::lm_head) return {config.layers * kPerLayer};
  if (layer >= config.layers)
    throw Error(Errc::internal, fmt::format("layer {} of {}", layer, config.layers));
  return {layer * kPerLayer + static_cast<u32>(kind)};
}

LinearKind linear_kind(const ModelConfig& config, LinearId id) {
  check(config, id);
  if (id.value == config.layers * kPerLayer) return LinearKind::lm_head;
  return static_cast<LinearKind>(id.value % kPerLayer);
}

u32 linear_layer(const ModelConfig& config, LinearId id) {
  return linear_kind(config, id) == LinearKind::lm_head ? 0 : id.value / kPerLayer;
}

std::string linear_name(const ModelConfig& config, LinearId id) {
  const LinearKind kind = linear_kind(config, id);
  const char* name = kKindNames[static_cast<std::size_t>(kind)];
  if (kind == LinearKind::lm_head) return name;
  return fmt::format("layers.{}.{}", linear_layer(config, id), name);
}

std::size_t linear_inputs(const ModelConfig& config, LinearKind kind) {
  switch (kind) {
  case LinearKind::o:
    return config.q_dim();
  case LinearKind::down:
    return config.intermediate;
  case LinearKind::qkv:
  case LinearKind::gate_up:
  case LinearKind::lm_head:
    break;
  }
  return config.hidden;
}

std::size_t linear_outputs(const ModelConfig& config, LinearKind kind) {
  switch (kind) {
  case LinearKind::qkv:
    return std::size_t{config.q_dim()} + 2 * std::size_t{config.kv_dim()};
  case LinearKind::gate_up:
    return 2 * std::size_t{config.intermediate};
  case LinearKind::lm_head:
    return config.vocab;
  case LinearKind::o:
  case LinearKind::down:
    break;
  }
  return config.hidden;
}

std::vector<LinearPart> linear_parts(const ModelConfig& config, LinearId id) {
  const auto base = fmt::format("model.layers.{}.", linear_layer(config, id));
  const std::size_t kv = config.kv_dim();
  const std::size_t inner = config.intermediate;
  switch (linear_kind(config, id)) {
  case LinearKind::qkv:
    return {{base + "self_attn.q_proj", config.q_dim()},
            {base + "self_attn.k_proj", kv},
            {base + "self_attn.v_proj", kv}};
  case LinearKind::o:
    return {{base + "self_attn.o_proj", config.hidden}};
  case LinearKind::gate_up:
    return {{base + "mlp.gate_proj", inner}, {base + "mlp.up_proj", inner}};
  case LinearKind::down:
    return {{base + "mlp.down_proj", config.hidden}};
  case LinearKind::lm_head:
    break;
  }
  return {{config.tied_embeddings ? "model.embed_tokens" : "lm_head", config.vocab}};
}

std::string folded_gain(const ModelConfig& config, LinearId id) {
  const auto base = fmt::format("model.layers.{}.", linear_layer(config, id));
  switch (linear_kind(config, id)) {
  case LinearKind::qkv:
    return base + "input_layernorm.weight";
  case LinearKind::gate_up:
    return base + "post_attention_layernorm.weight";
  case LinearKind::lm_head:
    return "model.norm.weight";
  case LinearKind::o:
  case LinearKind::down:
    break;
  }
  return {};
}

bool has_bias(const ModelConfig& config, LinearKind kind) {
  switch (kind) {
  case LinearKind::qkv:
    return config.qkv_bias;
  case LinearKind::o:
    return config.o_bias;
  case LinearKind::gate_up:
  case LinearKind::down:
    return config.mlp_bias;
  case LinearKind::lm_head:
    break;
  }
  return false;
}

const char* to_string(WeightFormat format) noexcept {
  return format == WeightFormat::int8 ? "int8" : "int16";
}

WeightFormat parse_weight_format(std::string_view text) {
  if (text == "int8") return WeightFormat::int8;
  if (text == "int16") return WeightFormat::int16;
  throw Error(Errc::usage, fmt::format("weights \"{}\"; expected int8 or int16", text));
}

} // namespace talaria::model
