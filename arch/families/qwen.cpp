#include <fmt/format.h>

#include "arch/families/families.hpp"

namespace talaria::arch {

namespace {

/// With use_sliding_window, layers from max_window_layers on look through the window and those
/// before it see everything.
ModelPlan plan_with_windows(const ConfigText& config, const DecoderConfig& decoder) {
  const JsonFields& fields = config.fields();
  const bool slides = fields.boolean("use_sliding_window").value_or(false);
  const u32 first = fields.integer("max_window_layers", 0, ~0u).value_or(28);
  const std::optional<u32> window = config.window(4096);
  const bool any = slides && window;
  const auto sliding = config.sliding_layers(
      decoder.layers, [](u32 layer, u32 from) { return layer >= from; },
      any ? first : decoder.layers);
  ModelPlan plan = plan_layers(decoder);
  for (u32 l = 0; l < decoder.layers; ++l) {
    if (sliding[l] && !any)
      fields.refuse("layer_types", fmt::format("\"full_attention\" for each of the {} layers "
                                               "without use_sliding_window and sliding_window",
                                               decoder.layers));
    if (sliding[l]) plan.layers[l].attention.window = *window;
  }
  plan.linears = linear_table(plan, decoder.names());
  return plan;
}

} // namespace

// Qwen2 and 2.5: biases on q, k and v.
ModelPlan qwen2_plan(const ConfigText& config) {
  config.check_architecture({"Qwen2ForCausalLM"});
  Defaults defaults;
  defaults.kv_heads = 32;
  defaults.max_position = 32768;
  DecoderConfig decoder = config.decoder(defaults);
  decoder.qkv_bias = true;
  return plan_with_windows(config, decoder);
}

// Qwen3: queries and keys are normed, each head by itself.
ModelPlan qwen3_plan(const ConfigText& config) {
  config.check_architecture({"Qwen3ForCausalLM"});
  Defaults defaults;
  defaults.kv_heads = 32;
  defaults.head_dim = 128;
  defaults.max_position = 32768;
  defaults.attention_bias = true;
  DecoderConfig decoder = config.decoder(defaults);
  decoder.qk_norm = true;
  return plan_with_windows(config, decoder);
}

} // namespace talaria::arch
