#include <fmt/format.h>

#include <cmath>

#include "arch/families/families.hpp"

namespace talaria::arch {

namespace {

Defaults gemma_defaults() {
  Defaults defaults;
  defaults.kv_heads = 4;
  defaults.head_dim = 256;
  defaults.max_position = 8192;
  defaults.tied_embeddings = true;
  defaults.attention_bias = true;
  defaults.activation_key = "hidden_activation";
  defaults.activation = "gelu_pytorch_tanh";
  return defaults;
}

/// 0: none. Null is none; of a key that is absent the class has its own.
float soft_cap(const JsonFields& fields, const char* name, float otherwise) {
  if (!fields.present(name)) return otherwise;
  return fields.number(name, positive, "null or a positive number").value_or(0);
}

struct SoftCaps {
  float scores = 0;
  float logits = 0;
};

/// Published folders store w where the gain is 1 + w. GGUF files store the gain; the config.json
/// that is made of their metadata says so.
bool gains_lack_one(const JsonFields& fields) {
  return !fields.boolean("talaria_norms_hold_gain").value_or(false);
}

/// x = E sqrt(hidden); norms before and behind both blocks, their gain 1 + w; GELU (tanh).
ModelPlan gemma_layers(const ConfigText& config, const DecoderConfig& decoder, SoftCaps usual) {
  const JsonFields& fields = config.fields();
  const auto scalar = fields.number("query_pre_attn_scalar", positive, "a positive number");
  const bool plus_one = gains_lack_one(fields);
  ModelPlan plan = plan_layers(decoder);
  plan.embedding_multiplier =
      static_cast<float>(std::sqrt(double{static_cast<float>(decoder.hidden)}));
  plan.final_norm.plus_one = plus_one;
  plan.logit_soft_cap = soft_cap(fields, "final_logit_softcapping", usual.logits);
  for (Layer& layer : plan.layers) {
    layer.attention_norm->plus_one = plus_one;
    layer.attention_out_norm =
        Norm{layer.prefix + "post_attention_layernorm.weight", decoder.rms_eps, plus_one};
    layer.feed_forward_norm =
        Norm{layer.prefix + "pre_feedforward_layernorm.weight", decoder.rms_eps, plus_one};
    layer.feed_forward_out_norm =
        Norm{layer.prefix + "post_feedforward_layernorm.weight", decoder.rms_eps, plus_one};
    layer.feed_forward.activation = Activation::gelu_tanh;
    layer.attention.scale = static_cast<float>(1 / std::sqrt(double{scalar.value_or(256)}));
    layer.attention.soft_cap = soft_cap(fields, "attn_logit_softcapping", usual.scores);
  }
  return plan;
}

void set_windows(const ConfigText& config, const std::vector<bool>& sliding, ModelPlan& plan) {
  const auto window = config.window(4096);
  for (u32 l = 0; l < plan.layer_count(); ++l) {
    if (!sliding[l]) continue;
    if (!window) config.fields().refuse("sliding_window", "a number of positions");
    plan.layers[l].attention.window = *window;
  }
}

} // namespace

// Gemma 2: scores and logits are capped softly; the even layers slide.
ModelPlan gemma2_plan(const ConfigText& config) {
  config.check_architecture({"Gemma2ForCausalLM"});
  const DecoderConfig decoder = config.decoder(gemma_defaults());
  ModelPlan plan = gemma_layers(config, decoder, {50, 30});
  set_windows(config,
              config.sliding_layers(
                  decoder.layers, [](u32 layer, u32) { return layer % 2 == 0; }, 2),
              plan);
  plan.linears = linear_table(plan, decoder.names());
  return plan;
}

// Gemma 3 (text): q and k normed per head; every sixth layer is full, the others slide and turn
// with a theta of their own, never scaled.
ModelPlan gemma3_plan(const ConfigText& config) {
  config.check_architecture({"Gemma3ForCausalLM", "Gemma3ForConditionalGeneration"});
  const JsonFields& fields = config.fields();
  if (fields.boolean("use_bidirectional_attention").value_or(false))
    fields.refuse("use_bidirectional_attention", "false");
  Defaults defaults = gemma_defaults();
  defaults.dimensions = {2304, 9216, 26, 8, 262208};
  defaults.rope_theta = 1000000;
  defaults.max_position = 131072;
  const DecoderConfig decoder = config.decoder(defaults);
  ModelPlan plan = gemma_layers(config, decoder, {});
  const u32 pattern = fields.integer("sliding_window_pattern", 1, ~0u).value_or(6);
  const auto sliding = config.sliding_layers(
      decoder.layers, [](u32 layer, u32 every) { return (layer + 1) % every != 0; }, pattern);
  set_windows(config, sliding, plan);
  const auto near = config.rope(defaults, "sliding_attention", decoder.max_position);
  const float local =
      fields.number("rope_local_base_freq", positive, "a positive number").value_or(10000);
  plan.ropes[0].name = "full";
  plan.ropes.push_back(near.of_this_type
                           ? make_rope("sliding", near.theta, decoder.head_dim, near.scaling)
                           : make_rope("sliding", local, decoder.head_dim, {}));
  for (u32 l = 0; l < decoder.layers; ++l) {
    Layer& layer = plan.layers[l];
    if (sliding[l]) layer.attention.rope = 1;
    layer.attention.head_norm = HeadNorm::per_head;
    layer.attention.q_norm = {layer.prefix + "self_attn.q_norm.weight", decoder.rms_eps,
                              gains_lack_one(fields)};
    layer.attention.k_norm = {layer.prefix + "self_attn.k_norm.weight", decoder.rms_eps,
                              gains_lack_one(fields)};
  }
  plan.linears = linear_table(plan, decoder.names());
  return plan;
}

} // namespace talaria::arch
