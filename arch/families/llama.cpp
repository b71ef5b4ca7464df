#include "arch/families/families.hpp"

namespace talaria::arch {

// Llama 2 and 3: the common decoder.
ModelPlan llama_plan(const ConfigText& config) {
  config.check_architecture({"LlamaForCausalLM"});
  Defaults defaults;
  defaults.attention_bias = true;
  defaults.mlp_bias = true;
  const DecoderConfig decoder = config.decoder(defaults);
  config.require_layer_types(decoder);
  return plan_decoder(decoder);
}

} // namespace talaria::arch
