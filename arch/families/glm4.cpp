#include "arch/families/families.hpp"

namespace talaria::arch {

// GLM-4 (0414): norms before and behind both blocks; the first half of each head turns, in pairs of
// neighbours; gate and up are one tensor; biases on q, k and v, never on o.
ModelPlan glm4_plan(const ConfigText& config) {
  config.check_architecture({"Glm4ForCausalLM"});
  Defaults defaults;
  defaults.kv_heads = 2;
  defaults.head_dim = 128;
  defaults.max_position = 131072;
  defaults.rms_eps = 1.5625e-7F;
  defaults.attention_bias = true;
  defaults.biased = true;
  defaults.partial_rotary = true;
  defaults.rotary_share = 0.5F;
  DecoderConfig decoder = config.decoder(defaults);
  decoder.o_bias = false;
  config.require_layer_types(decoder);
  ModelPlan plan = plan_layers(decoder);
  plan.ropes[0].neighbours = true;
  for (Layer& layer : plan.layers) {
    layer.attention_out_norm =
        Norm{layer.prefix + "post_self_attn_layernorm.weight", decoder.rms_eps, false};
    layer.feed_forward_out_norm =
        Norm{layer.prefix + "post_mlp_layernorm.weight", decoder.rms_eps, false};
  }
  TensorNames names = decoder.names();
  names.fused_gate_up = true;
  plan.linears = linear_table(plan, names);
  return plan;
}

} // namespace talaria::arch
