#include "arch/families/families.hpp"

namespace talaria::arch {

// Mistral, by itself or inside a mistral3 checkpoint: Llama with a window in every layer; its
// default where the key is absent is 4096.
ModelPlan mistral_plan(const ConfigText& config) {
  config.check_architecture({"MistralForCausalLM", "Mistral3ForConditionalGeneration"});
  Defaults defaults;
  defaults.dimensions = {4096, 14336, 32, 32, 32000};
  defaults.kv_heads = 8;
  defaults.max_position = 131072;
  DecoderConfig decoder = config.decoder(defaults);
  decoder.sliding_window = config.window(4096);
  config.require_layer_types(decoder);
  return plan_decoder(decoder);
}

} // namespace talaria::arch
