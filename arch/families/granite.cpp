#include "arch/families/families.hpp"

namespace talaria::arch {

// Granite 3 and dense 4: Llama with multipliers on embeddings, scores, blocks and logits.
ModelPlan granite_plan(const ConfigText& config) {
  config.check_architecture({"GraniteForCausalLM"});
  Defaults defaults;
  defaults.attention_bias = true;
  defaults.mlp_bias = true;
  const DecoderConfig decoder = config.decoder(defaults);
  config.require_layer_types(decoder);
  const auto number = [&config](const char* name) {
    return config.fields().number(name, positive, "a positive number").value_or(1);
  };
  ModelPlan plan = plan_layers(decoder);
  plan.embedding_multiplier = number("embedding_multiplier");
  for (Layer& layer : plan.layers) {
    layer.attention.scale = number("attention_multiplier");
    layer.multiplier = number("residual_multiplier");
  }
  TensorNames names = decoder.names();
  names.logit_multiplier = 1 / number("logits_scaling");
  plan.linears = linear_table(plan, names);
  return plan;
}

} // namespace talaria::arch
