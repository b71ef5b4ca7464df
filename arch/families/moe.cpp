#include "arch/families/families.hpp"
#include "arch/families/mixture_text.hpp"

#include <algorithm>

// Mixtures of experts that are Llama, Qwen or OLMo otherwise.
namespace talaria::arch {

namespace {

/// Qwen's rule: layers in mlp_only_layers, or whose number + 1 is no multiple of
/// decoder_sparse_step, have one feed-forward.
bool is_sparse(const ConfigText& config, u32 layer) {
  const JsonFields& fields = config.fields();
  const u32 step = fields.integer("decoder_sparse_step", 1, ~0u).value_or(1);
  const auto dense = fields.ids("mlp_only_layers", ~0u);
  return std::find(dense.begin(), dense.end(), layer) == dense.end() && (layer + 1) % step == 0;
}

} // namespace

// Mixtral: shares of the chosen are normalised; w1 is the gate, w3 up, w2 down.
ModelPlan mixtral_plan(const ConfigText& config) {
  config.check_architecture({"MixtralForCausalLM"});
  Defaults defaults;
  defaults.kv_heads = 8;
  defaults.max_position = 131072;
  defaults.rope_theta = 1000000;
  defaults.rms_eps = 1e-5F;
  defaults.experts = true;
  DecoderConfig decoder = config.decoder(defaults);
  decoder.sliding_window = config.window();
  config.require_layer_types(decoder);
  ModelPlan plan = plan_layers(decoder);
  MixtureText text;
  text.hidden = decoder.hidden;
  text.count_key = "num_local_experts";
  text.width = decoder.intermediate;
  text.default_chosen = 2;
  text.normalise = true;
  text.block = "block_sparse_moe.";
  text.names = {"w1", "w3", "w2"};
  for (Layer& layer : plan.layers) mix(config, text, layer);
  plan.linears = linear_table(plan, decoder.names());
  return plan;
}

// Qwen 1.5 and 2 MoE: Qwen2 with a shared expert.
ModelPlan qwen2_moe_plan(const ConfigText& config) {
  config.check_architecture({"Qwen2MoeForCausalLM"});
  Defaults defaults;
  defaults.kv_heads = 16;
  defaults.max_position = 32768;
  defaults.experts = true;
  DecoderConfig decoder = config.decoder(defaults);
  decoder.qkv_bias = config.fields().boolean("qkv_bias").value_or(true);
  config.refuse_windows();
  config.require_layer_types(decoder);
  ModelPlan plan = plan_layers(decoder);
  MixtureText text;
  text.hidden = decoder.hidden;
  text.width = expert_width(config, "moe_intermediate_size");
  text.default_chosen = 4;
  text.normalise = config.fields().boolean("norm_topk_prob").value_or(false);
  text.shared = expert_width(config, "shared_expert_intermediate_size");
  for (u32 l = 0; l < plan.layer_count(); ++l) {
    if (!is_sparse(config, l)) continue;
    mix(config, text, plan.layers[l]);
    share_by_gate(text, plan.layers[l]);
  }
  plan.linears = linear_table(plan, decoder.names());
  return plan;
}

// Qwen3 MoE: Qwen3, no shared expert.
ModelPlan qwen3_moe_plan(const ConfigText& config) {
  config.check_architecture({"Qwen3MoeForCausalLM"});
  Defaults defaults;
  defaults.kv_heads = 4;
  defaults.head_dim = 128;
  defaults.max_position = 32768;
  defaults.attention_bias = true;
  defaults.experts = true;
  DecoderConfig decoder = config.decoder(defaults);
  decoder.qk_norm = true;
  config.refuse_windows();
  config.require_layer_types(decoder);
  ModelPlan plan = plan_layers(decoder);
  MixtureText text;
  text.hidden = decoder.hidden;
  text.width = expert_width(config, "moe_intermediate_size");
  text.normalise = config.fields().boolean("norm_topk_prob").value_or(false);
  for (u32 l = 0; l < plan.layer_count(); ++l)
    if (is_sparse(config, l)) mix(config, text, plan.layers[l]);
  plan.linears = linear_table(plan, decoder.names());
  return plan;
}

// OLMoE: q and k normed over all their heads, which may be clipped behind that, as v may; norms
// before the blocks as in Llama.
ModelPlan olmoe_plan(const ConfigText& config) {
  config.check_architecture({"OlmoeForCausalLM"});
  Defaults defaults;
  defaults.max_position = 4096;
  defaults.rms_eps = 1e-5F;
  defaults.attention_bias = true;
  defaults.experts = true;
  const DecoderConfig decoder = config.decoder(defaults);
  config.require_layer_types(decoder);
  const float clip = config.fields().number("clip_qkv", positive, "a positive number").value_or(0);
  ModelPlan plan = plan_layers(decoder);
  MixtureText text;
  text.hidden = decoder.hidden;
  text.width = decoder.intermediate;
  text.normalise = config.fields().boolean("norm_topk_prob").value_or(false);
  for (Layer& layer : plan.layers) {
    mix(config, text, layer);
    layer.attention.clip = clip;
    layer.attention.head_norm = HeadNorm::all_heads;
    layer.attention.q_norm = {layer.prefix + "self_attn.q_norm.weight", decoder.rms_eps, false};
    layer.attention.k_norm = {layer.prefix + "self_attn.k_norm.weight", decoder.rms_eps, false};
  }
  plan.linears = linear_table(plan, decoder.names());
  return plan;
}

} // namespace talaria::arch
