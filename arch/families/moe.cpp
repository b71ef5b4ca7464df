#include <fmt/format.h>

#include <algorithm>

#include "arch/families/families.hpp"

// Mixtures of experts that are Llama, Qwen or OLMo otherwise.
namespace talaria::arch {

namespace {

constexpr u32 kMaxExperts = 4096;
/// Inputs of one matrix, as the worker's accumulators have it (kernels/kernel_set.hpp).
constexpr u64 kMaxInputs = (u64{1} << 17) - 1;

/// Names of an expert's three tensors behind "experts.N.".
struct ExpertNames {
  const char* gate = "gate_proj";
  const char* up = "up_proj";
  const char* down = "down_proj";
};

struct MixtureText {
  const char* count_key = "num_experts";
  u32 width = 0;
  u32 shared = 0; ///< width of the expert that always counts; 0: there is none
  u32 default_chosen = 8;
  bool normalise = false;
  std::string block = "mlp."; ///< before "gate.weight" and "experts."
  ExpertNames names;
};

/// Makes the feed-forward of `layer` a mixture.
void mix(const ConfigText& config, const MixtureText& text, Layer& layer) {
  const JsonFields& fields = config.fields();
  const u32 count = fields.required_integer(text.count_key, 1, kMaxExperts);
  const u32 chosen =
      fields.integer("num_experts_per_tok", 1, kMaxExperts).value_or(text.default_chosen);
  if (chosen > count)
    fields.refuse("num_experts_per_tok",
                  fmt::format("at most {}, which is {}", text.count_key, count));
  if (u64{count} * text.width + text.shared > kMaxInputs)
    fields.refuse(text.count_key,
                  fmt::format("experts of {} that have at most {} inputs together, since all of a "
                              "layer are one matrix",
                              text.width, kMaxInputs));
  FeedForward& shape = layer.feed_forward;
  const std::string block = layer.prefix + text.block;
  shape.router = Router{block + "gate.weight", chosen, text.normalise, ""};
  for (u32 e = 0; e < count; ++e) {
    const std::string base = fmt::format("{}experts.{}.", block, e);
    shape.experts.push_back(
        {base + text.names.gate, base + text.names.up, base + text.names.down, text.width});
  }
  shape.intermediate = count * text.width;
}

/// An expert that always counts, by a gate of its own.
void share_one(const MixtureText& text, Layer& layer) {
  FeedForward& shape = layer.feed_forward;
  const std::string base = layer.prefix + "mlp.shared_expert";
  shape.router->shared_gate = base + "_gate.weight";
  shape.experts.push_back(
      {base + ".gate_proj", base + ".up_proj", base + ".down_proj", text.shared});
  shape.intermediate += text.shared;
}

/// Qwen's rule: layers in mlp_only_layers, or whose number + 1 is no multiple of
/// decoder_sparse_step, have one feed-forward.
bool is_sparse(const ConfigText& config, u32 layer) {
  const JsonFields& fields = config.fields();
  const u32 step = fields.integer("decoder_sparse_step", 1, ~0u).value_or(1);
  const auto dense = fields.ids("mlp_only_layers", ~0u);
  return std::find(dense.begin(), dense.end(), layer) == dense.end() && (layer + 1) % step == 0;
}

u32 expert_width(const ConfigText& config, const char* key) {
  return config.fields().required_integer(key, 1, static_cast<u32>(kMaxInputs));
}

} // namespace

// Mixtral: shares of the chosen are normalised; w1 is the gate, w3 up, w2 down.
ModelPlan mixtral_plan(const ConfigText& config) {
  config.check_architecture({"MixtralForCausalLM"});
  Defaults defaults;
  defaults.kv_heads = 8;
  defaults.max_position = 131072;
  defaults.rope_theta = 1000000;
  defaults.experts = true;
  DecoderConfig decoder = config.decoder(defaults);
  decoder.sliding_window = config.window();
  config.require_layer_types(decoder);
  ModelPlan plan = plan_layers(decoder);
  MixtureText text;
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
  text.width = expert_width(config, "moe_intermediate_size");
  text.default_chosen = 4;
  text.normalise = config.fields().boolean("norm_topk_prob").value_or(false);
  text.shared = expert_width(config, "shared_expert_intermediate_size");
  for (u32 l = 0; l < plan.layer_count(); ++l) {
    if (!is_sparse(config, l)) continue;
    mix(config, text, plan.layers[l]);
    share_one(text, plan.layers[l]);
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
  text.width = expert_width(config, "moe_intermediate_size");
  text.normalise = config.fields().boolean("norm_topk_prob").value_or(false);
  for (u32 l = 0; l < plan.layer_count(); ++l)
    if (is_sparse(config, l)) mix(config, text, plan.layers[l]);
  plan.linears = linear_table(plan, decoder.names());
  return plan;
}

// OLMoE: q and k normed over all their heads; norms before the blocks as in Llama.
ModelPlan olmoe_plan(const ConfigText& config) {
  config.check_architecture({"OlmoeForCausalLM"});
  Defaults defaults;
  defaults.max_position = 4096;
  defaults.attention_bias = true;
  defaults.experts = true;
  const DecoderConfig decoder = config.decoder(defaults);
  config.require_layer_types(decoder);
  if (config.fields().find("clip_qkv") != nullptr)
    config.fields().refuse("clip_qkv", "null: clipped queries, keys and values are not computed");
  ModelPlan plan = plan_layers(decoder);
  MixtureText text;
  text.width = decoder.intermediate;
  text.normalise = config.fields().boolean("norm_topk_prob").value_or(false);
  for (Layer& layer : plan.layers) {
    mix(config, text, layer);
    layer.attention.head_norm = HeadNorm::all_heads;
    layer.attention.q_norm = {layer.prefix + "self_attn.q_norm.weight", decoder.rms_eps, false};
    layer.attention.k_norm = {layer.prefix + "self_attn.k_norm.weight", decoder.rms_eps, false};
  }
  plan.linears = linear_table(plan, decoder.names());
  return plan;
}

} // namespace talaria::arch
