#include "arch/families/families.hpp"

namespace talaria::arch {

// Ministral 3, inside a mistral3 checkpoint: Mistral with YaRN, and queries that grow with the
// position, 1 + beta ln(1 + floor(position / original length)).
ModelPlan ministral3_plan(const ConfigText& config) {
  config.check_architecture({"Mistral3ForConditionalGeneration", "Ministral3ForCausalLM"});
  Defaults defaults;
  defaults.dimensions = {4096, 14336, 34, 32, 131072};
  defaults.head_dim = 128;
  defaults.rms_eps = 1e-5F;
  defaults.kv_heads = 8;
  defaults.max_position = 262144;
  defaults.rope_theta = 1000000;
  DecoderConfig decoder = config.decoder(defaults);
  decoder.sliding_window = config.window();
  config.require_layer_types(decoder);
  ModelPlan plan = plan_layers(decoder);
  const float beta = config.query_beta();
  const u32 original = decoder.rope_scaling.original_max_position;
  for (Layer& layer : plan.layers) {
    if (beta == 0 || original == 0) continue;
    layer.attention.query_beta = beta;
    layer.attention.query_length = original;
  }
  plan.linears = linear_table(plan, decoder.names());
  return plan;
}

} // namespace talaria::arch
