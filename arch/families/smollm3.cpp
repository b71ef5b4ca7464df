#include <fmt/format.h>

#include "arch/families/families.hpp"

namespace talaria::arch {

// SmolLM3: Llama in which some layers do not turn queries and keys (no_rope_layers: 1 means RoPE;
// absent: all but every no_rope_layer_interval-th).
ModelPlan smollm3_plan(const ConfigText& config) {
  config.check_architecture({"SmolLM3ForCausalLM"});
  Defaults defaults;
  defaults.kv_heads = 4;
  defaults.max_position = 32768;
  defaults.rope_theta = 2000000;
  defaults.tied_embeddings = true;
  defaults.attention_bias = true;
  defaults.mlp_bias = true;
  const DecoderConfig decoder = config.decoder(defaults);
  const JsonFields& fields = config.fields();
  if (fields.boolean("use_sliding_window").value_or(false))
    fields.refuse("use_sliding_window", "false: windows of SmolLM3 are not computed");
  config.require_layer_types(decoder);

  ModelPlan plan = plan_layers(decoder);
  const u32 interval = fields.integer("no_rope_layer_interval", 1, ~0u).value_or(4);
  const nlohmann::json* listed = fields.find("no_rope_layers");
  const auto expected = fmt::format("a list of 0 and 1 for each of the {} layers", decoder.layers);
  if (listed != nullptr && (!listed->is_array() || listed->size() != decoder.layers))
    fields.refuse("no_rope_layers", expected);
  for (u32 l = 0; l < decoder.layers; ++l) {
    bool turns = (l + 1) % interval != 0;
    if (listed != nullptr) {
      if ((*listed)[l] != 0 && (*listed)[l] != 1) fields.refuse("no_rope_layers", expected);
      turns = (*listed)[l] == 1;
    }
    if (!turns) plan.layers[l].attention.rope.reset();
  }
  plan.linears = linear_table(plan, decoder.names());
  return plan;
}

} // namespace talaria::arch
