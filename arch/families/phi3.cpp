#include "arch/families/families.hpp"

namespace talaria::arch {

// Phi-3, Phi-3.5 and Phi-4: q, k, v are one tensor, gate and up another; a part of each head may
// turn; a window in every layer if there is one.
ModelPlan phi3_plan(const ConfigText& config) {
  config.check_architecture({"Phi3ForCausalLM"});
  Defaults defaults;
  defaults.max_position = 4096;
  defaults.rms_eps = 1e-5F;
  defaults.partial_rotary = true;
  DecoderConfig decoder = config.decoder(defaults);
  if (config.fields().boolean("lm_head_bias").value_or(false))
    config.fields().refuse("lm_head_bias", "false");
  decoder.sliding_window = config.window();
  config.require_layer_types(decoder);
  ModelPlan plan = plan_layers(decoder);
  TensorNames names = decoder.names();
  names.fused_qkv = true;
  names.fused_gate_up = true;
  plan.linears = linear_table(plan, names);
  return plan;
}

} // namespace talaria::arch
