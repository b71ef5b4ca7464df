#include "arch/families/families.hpp"

namespace talaria::arch {

// Mistral: Llama with a window in every layer; its default where the key is absent is 4096.
ModelPlan mistral_plan(const ConfigText& config) {
  config.check_architecture({"MistralForCausalLM"});
  Defaults defaults;
  defaults.kv_heads = 8;
  defaults.max_position = 131072;
  DecoderConfig decoder = config.decoder(defaults);
  decoder.sliding_window = config.window();
  if (!config.fields().present("sliding_window")) decoder.sliding_window = 4096;
  config.require_layer_types(decoder);
  return plan_decoder(decoder);
}

} // namespace talaria::arch
