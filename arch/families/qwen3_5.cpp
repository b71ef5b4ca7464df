#include <fmt/format.h>

#include "arch/families/families.hpp"

namespace talaria::arch {

namespace {

constexpr u32 kMostHeads = 4096;
constexpr u32 kLongestHead = 4096;
constexpr u32 kMostTaps = 64;

/// For each layer whether it attends; in the others there is a DeltaNet.
std::vector<bool> attending_layers(const ConfigText& config, u32 layers) {
  const auto types = config.layer_types(layers, {"linear_attention", "full_attention"});
  const u32 every = config.fields().integer("full_attention_interval", 1, ~0u).value_or(4);
  std::vector<bool> out(layers);
  for (u32 l = 0; l < layers; ++l)
    out[l] = types.empty() ? (l + 1) % every == 0 : types[l] == "full_attention";
  return out;
}

void refuse_what_no_file_has(const JsonFields& fields) {
  if (fields.text("mamba_ssm_dtype").value_or("float32") != "float32")
    fields.refuse("mamba_ssm_dtype", "\"float32\": a state of other precision is not computed");
  const std::string gate = fields.text("output_gate_type").value_or("swish");
  if (gate != "swish" && gate != "silu") fields.refuse("output_gate_type", "\"swish\"");
}

DeltaNet read_delta_net(const JsonFields& fields) {
  const auto number = [&](const char* name, u32 most, u32 otherwise) {
    return fields.integer(name, 1, most).value_or(otherwise);
  };
  DeltaNet net;
  net.key_heads = number("linear_num_key_heads", kMostHeads, 16);
  net.value_heads = number("linear_num_value_heads", kMostHeads, 32);
  net.key_head_dim = number("linear_key_head_dim", kLongestHead, 128);
  net.value_head_dim = number("linear_value_head_dim", kLongestHead, 128);
  net.taps = number("linear_conv_kernel_dim", kMostTaps, 4);
  if (net.value_heads % net.key_heads != 0)
    fields.refuse("linear_num_value_heads",
                  fmt::format("a multiple of linear_num_key_heads, which is {}", net.key_heads));
  return net;
}

/// What the config.json that is made of a GGUF file's metadata says of it (docs/models.md, GGUF).
struct Stored {
  bool gains; ///< of norms, where published folders have w of 1 + w
  bool turns; ///< value heads of one key head do not stand together
  bool rate;  ///< -exp(A) where published folders have A
};

Stored read_stored(const JsonFields& fields) {
  const auto said = [&](const char* name) { return fields.boolean(name).value_or(false); };
  return {said("talaria_norms_hold_gain"), said("talaria_value_heads_by_turns"),
          said("talaria_decay_is_rate")};
}

} // namespace

// Qwen3.5 and 3.6 (dense, text): three of four layers are a Gated DeltaNet; the others attend with
// an output gate, q/k norms and RoPE over a quarter of each head. Gains are 1 + w, but for the norm
// inside the DeltaNet.
ModelPlan qwen3_5_plan(const ConfigText& config) {
  config.check_architecture({"Qwen3_5ForConditionalGeneration", "Qwen3_5ForCausalLM"});
  const JsonFields& fields = config.fields();
  refuse_what_no_file_has(fields);
  Defaults defaults;
  defaults.dimensions = {4096, 12288, 32, 16, 248320};
  defaults.kv_heads = 4;
  defaults.head_dim = 256;
  defaults.max_position = 32768;
  defaults.attention_bias = true;
  defaults.partial_rotary = true;
  defaults.rotary_share = 0.25F;
  defaults.mrope = true;
  DecoderConfig decoder = config.decoder(defaults);
  decoder.qk_norm = true;
  const bool gated = fields.boolean("attn_output_gate").value_or(true);
  const Stored stored = read_stored(fields);
  DeltaNet net = read_delta_net(fields);
  net.turns = stored.turns;
  net.decay_is_rate = stored.rate;
  const auto attends = attending_layers(config, decoder.layers);
  ModelPlan plan = plan_layers(decoder);
  plan.exact_weights = true;
  plan.final_norm.plus_one = !stored.gains;
  for (u32 l = 0; l < decoder.layers; ++l) {
    Layer& layer = plan.layers[l];
    layer.attention_norm->plus_one = !stored.gains;
    layer.feed_forward_norm->plus_one = !stored.gains;
    if (attends[l]) {
      layer.attention.output_gate = gated;
      layer.attention.q_norm.plus_one = !stored.gains;
      layer.attention.k_norm.plus_one = !stored.gains;
      continue;
    }
    const std::string base = layer.prefix + "linear_attn.";
    layer.attention = {};
    layer.delta_net = net;
    layer.delta_net->convolution = base + "conv1d.weight";
    layer.delta_net->decay = base + "A_log";
    layer.delta_net->step = base + "dt_bias";
    layer.delta_net->norm = {base + "norm.weight", decoder.rms_eps, false};
  }
  plan.linears = linear_table(plan, decoder.names());
  return plan;
}

} // namespace talaria::arch
