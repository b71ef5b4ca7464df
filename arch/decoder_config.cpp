#include "arch/decoder_config.hpp"

#include <fmt/format.h>

#include <cmath>

namespace talaria::arch {

TensorNames DecoderConfig::names() const {
  TensorNames names;
  names.qkv_bias = qkv_bias;
  names.o_bias = o_bias;
  names.mlp_bias = mlp_bias;
  return names;
}

ModelPlan plan_layers(const DecoderConfig& config, const std::string& root) {
  ModelPlan plan;
  plan.model_type = config.model_type;
  plan.hidden = config.hidden;
  plan.vocab = config.vocab;
  plan.max_position = config.max_position;
  plan.embedding = root + "embed_tokens.weight";
  plan.tied_embeddings = config.tied_embeddings;
  plan.bos = config.bos;
  plan.eos = config.eos;
  plan.final_norm = {root + "norm.weight", config.rms_eps, false};
  plan.ropes.push_back(make_rope("rope", config.rope_theta, config.rotated(), config.rope_scaling));
  for (u32 l = 0; l < config.layers; ++l) {
    Layer layer;
    layer.prefix = fmt::format("{}layers.{}.", root, l);
    layer.attention_norm = Norm{layer.prefix + "input_layernorm.weight", config.rms_eps, false};
    layer.feed_forward_norm =
        Norm{layer.prefix + "post_attention_layernorm.weight", config.rms_eps, false};
    layer.feed_forward.intermediate = config.intermediate;
    Attention& attention = layer.attention;
    attention.heads = config.heads;
    attention.kv_heads = config.kv_heads;
    attention.head_dim = config.head_dim;
    attention.window = config.sliding_window.value_or(0);
    attention.rope = 0;
    attention.scale = 1.0F / std::sqrt(static_cast<float>(config.head_dim));
    if (config.qk_norm) {
      attention.head_norm = HeadNorm::per_head;
      attention.q_norm = {layer.prefix + "self_attn.q_norm.weight", config.rms_eps, false};
      attention.k_norm = {layer.prefix + "self_attn.k_norm.weight", config.rms_eps, false};
    }
    plan.layers.push_back(std::move(layer));
  }
  return plan;
}

ModelPlan plan_decoder(const DecoderConfig& config) {
  ModelPlan plan = plan_layers(config);
  plan.linears = linear_table(plan, config.names());
  return plan;
}

} // namespace talaria::arch
