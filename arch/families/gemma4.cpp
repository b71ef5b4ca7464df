#include <fmt/format.h>

#include <cmath>

#include "arch/families/families.hpp"

namespace talaria::arch {

namespace {

constexpr u32 kMostKvHeads = 4096;
constexpr u32 kLongestGlobalHead = 4096;
constexpr u32 kMostPerLayer = 1u << 20;
constexpr u32 kMostTokens = 1u << 24;

/// What differs between layers that slide and those that see everything.
struct LayerKind {
  u32 head_dim = 0;
  u32 kv_heads = 0;
  u32 window = 0;
  bool values_are_keys = false;
};

void refuse_mixtures_and_other_attention(const JsonFields& fields) {
  if (fields.boolean("enable_moe_block").value_or(false))
    fields.refuse("enable_moe_block", "false: mixtures of Gemma 4 (26B-A4B) are not computed");
  const auto* both_ways = fields.find("use_bidirectional_attention");
  if (both_ways != nullptr && *both_ways != false && *both_ways != "vision")
    fields.refuse("use_bidirectional_attention",
                  "null or \"vision\": text is attended to backwards only");
}

LayerKind sliding_kind(const ConfigText& config, const DecoderConfig& decoder) {
  const auto window = config.window(512);
  if (!window) config.fields().refuse("sliding_window", "a number of positions");
  return {decoder.head_dim, decoder.kv_heads, *window, false};
}

LayerKind full_kind(const JsonFields& fields, const DecoderConfig& decoder) {
  LayerKind kind{fields.integer("global_head_dim", 2, kLongestGlobalHead).value_or(512),
                 decoder.kv_heads, 0, fields.boolean("attention_k_eq_v").value_or(false)};
  if (kind.head_dim % 2 != 0) fields.refuse("global_head_dim", "an even number");
  // transformers looks at this key only where keys are values.
  const auto heads = fields.integer("num_global_key_value_heads", 1, kMostKvHeads);
  if (kind.values_are_keys && heads) kind.kv_heads = *heads;
  if (decoder.heads % kind.kv_heads != 0)
    fields.refuse("num_global_key_value_heads",
                  fmt::format("a divisor of num_attention_heads, which is {}", decoder.heads));
  return kind;
}

/// For each layer whether it slides; the last one never does.
std::vector<bool> sliding_layers_of(const ConfigText& config, u32 layers) {
  auto sliding = config.sliding_layers(
      layers, [](u32 layer, u32 every) { return (layer + 1) % every != 0; }, 6);
  sliding.back() = false;
  return sliding;
}

Rope read_rope_of(const ConfigText& config, const DecoderConfig& decoder, const char* layer_type,
                  const char* name, u32 head_dim) {
  Defaults defaults;
  defaults.partial_rotary = true;
  defaults.proportional = true;
  auto text = config.rope(defaults, layer_type, decoder.max_position);
  if (config.fields().find("rope_parameters") == nullptr) {
    // The class defaults of transformers.
    const bool full = std::string_view(layer_type) == "full_attention";
    text.theta = full ? 1000000 : 10000;
    text.scaling = {};
    if (full) text.scaling.kind = RopeScaling::Kind::proportional;
    text.scaling.turning = text.partial_rotary = full ? 0.25F : 1;
  }
  using Kind = RopeScaling::Kind;
  if (text.scaling.kind == Kind::dynamic || text.scaling.kind == Kind::longrope)
    config.fields().refuse("rope_parameters", "no rope_type that depends on the length");
  const bool whole = text.scaling.kind == Kind::proportional;
  const u32 rotated =
      whole ? head_dim : static_cast<u32>(static_cast<float>(head_dim) * text.partial_rotary);
  if (rotated == 0 || rotated % 2 != 0)
    config.fields().refuse("rope_parameters",
                           fmt::format("a partial_rotary_factor that turns an even number of the "
                                       "{} dimensions of a head",
                                       head_dim));
  return make_rope(name, text.theta, rotated, text.scaling);
}

/// Norms around both blocks, with the gains as they are stored; scores are not scaled.
void set_layer(Layer& layer, const LayerKind& kind, u32 rope, float eps) {
  layer.attention_out_norm = Norm{layer.prefix + "post_attention_layernorm.weight", eps, false};
  layer.feed_forward_norm = Norm{layer.prefix + "pre_feedforward_layernorm.weight", eps, false};
  layer.feed_forward_out_norm =
      Norm{layer.prefix + "post_feedforward_layernorm.weight", eps, false};
  layer.feed_forward.activation = Activation::gelu_tanh;
  layer.scalar = layer.prefix + "layer_scalar";
  Attention& a = layer.attention;
  a.head_dim = kind.head_dim;
  a.kv_heads = kind.kv_heads;
  a.window = kind.window;
  a.values_are_keys = kind.values_are_keys;
  a.value_eps = eps;
  a.rope = rope;
  a.scale = 1;
}

/// The last layers read keys and values of the last layer before them that has its own, of their
/// own kind.
void share_keys(const ConfigText& config, const std::vector<bool>& sliding, ModelPlan& plan) {
  const JsonFields& fields = config.fields();
  const u32 layers = plan.layer_count();
  const u32 sharing = fields.integer("num_kv_shared_layers", 0, layers - 1).value_or(0);
  const bool double_wide = fields.boolean("use_double_wide_mlp").value_or(false);
  const u32 first = layers - sharing;
  for (u32 l = first; l < layers; ++l) {
    u32 source = first;
    while (source > 0 && sliding[source - 1] != sliding[l]) --source;
    if (source == 0)
      fields.refuse(
          "num_kv_shared_layers",
          fmt::format("so few that a layer of the same type as layer {} is before them", l));
    plan.layers[l].attention.reads_layer = source - 1;
    if (double_wide) plan.layers[l].feed_forward.intermediate *= 2;
  }
}

void add_per_layer_inputs(const JsonFields& fields, const DecoderConfig& decoder, ModelPlan& plan) {
  const u32 width = fields.integer("hidden_size_per_layer_input", 0, kMostPerLayer).value_or(256);
  if (width == 0) return;
  PerLayerInputs inputs;
  inputs.width = width;
  inputs.table = "model.embed_tokens_per_layer.weight";
  inputs.tokens = fields.integer("vocab_size_per_layer_input", 1, kMostTokens).value_or(262144);
  if (inputs.tokens < plan.vocab)
    fields.refuse("vocab_size_per_layer_input",
                  fmt::format("at least vocab_size, which is {}", plan.vocab));
  inputs.multiplier = static_cast<float>(std::sqrt(double{static_cast<float>(width)}));
  inputs.norm = {"model.per_layer_projection_norm.weight", decoder.rms_eps, false};
  plan.per_layer_inputs = inputs;
  for (Layer& layer : plan.layers)
    layer.per_layer_input =
        PerLayerInput{layer.prefix + "per_layer_input_gate.weight",
                      layer.prefix + "per_layer_projection.weight",
                      {layer.prefix + "post_per_layer_input_norm.weight", decoder.rms_eps, false}};
}

} // namespace

// Gemma 4 (dense, text): every sixth layer is full, with longer heads and RoPE over the whole head
// of which a quarter turns; values are normed; each layer's output is scaled. In the small models
// (E2B, E4B) the last layers share keys and values, and layers get inputs from the token itself.
ModelPlan gemma4_plan(const ConfigText& config) {
  config.check_architecture({"Gemma4ForConditionalGeneration", "Gemma4ForCausalLM"});
  const JsonFields& fields = config.fields();
  refuse_mixtures_and_other_attention(fields);
  Defaults defaults;
  defaults.dimensions = {2304, 9216, 30, 8, 262144};
  defaults.kv_heads = 4;
  defaults.head_dim = 256;
  defaults.max_position = 131072;
  defaults.tied_embeddings = true;
  defaults.attention_bias = true;
  defaults.activation_key = "hidden_activation";
  defaults.activation = "gelu_pytorch_tanh";
  defaults.ropes_by_type = true;
  DecoderConfig decoder = config.decoder(defaults);
  decoder.qk_norm = true;
  const LayerKind near = sliding_kind(config, decoder);
  const LayerKind full = full_kind(fields, decoder);
  const auto sliding = sliding_layers_of(config, decoder.layers);
  ModelPlan plan = plan_layers(decoder);
  plan.exact_weights = true;
  plan.embedding_multiplier =
      static_cast<float>(std::sqrt(double{static_cast<float>(decoder.hidden)}));
  plan.logit_soft_cap =
      fields.number("final_logit_softcapping", positive, "null or a positive number").value_or(0);
  plan.ropes = {read_rope_of(config, decoder, "full_attention", "full", full.head_dim),
                read_rope_of(config, decoder, "sliding_attention", "sliding", near.head_dim)};
  for (u32 l = 0; l < decoder.layers; ++l)
    set_layer(plan.layers[l], sliding[l] ? near : full, sliding[l] ? 1 : 0, decoder.rms_eps);
  share_keys(config, sliding, plan);
  add_per_layer_inputs(fields, decoder, plan);
  plan.linears = linear_table(plan, decoder.names());
  return plan;
}

} // namespace talaria::arch
