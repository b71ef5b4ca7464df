#include "arch/families/families.hpp"

namespace talaria::arch {

namespace {

/// No norm before a block and one behind it; q and k are normed over all their heads at once.
void norm_after_blocks(ModelPlan& plan, float eps) {
  for (Layer& layer : plan.layers) {
    layer.attention_norm.reset();
    layer.feed_forward_norm.reset();
    layer.attention_out_norm = Norm{layer.prefix + "post_attention_layernorm.weight", eps, false};
    layer.feed_forward_out_norm =
        Norm{layer.prefix + "post_feedforward_layernorm.weight", eps, false};
    layer.attention.head_norm = HeadNorm::all_heads;
    layer.attention.q_norm = {layer.prefix + "self_attn.q_norm.weight", eps, false};
    layer.attention.k_norm = {layer.prefix + "self_attn.k_norm.weight", eps, false};
  }
}

DecoderConfig olmo(const ConfigText& config, float theta) {
  Defaults defaults;
  defaults.rope_theta = theta;
  defaults.rms_eps = 1e-5F;
  defaults.attention_bias = true;
  return config.decoder(defaults);
}

} // namespace

ModelPlan olmo2_plan(const ConfigText& config) {
  config.check_architecture({"Olmo2ForCausalLM"});
  const DecoderConfig decoder = olmo(config, 10000);
  config.require_layer_types(decoder);
  ModelPlan plan = plan_layers(decoder);
  norm_after_blocks(plan, decoder.rms_eps);
  plan.linears = linear_table(plan, decoder.names());
  return plan;
}

// OLMo 3: OLMo 2 in which all but every fourth layer slide; the scaling of RoPE belongs to the full
// layers, sliding ones turn with the plain theta.
ModelPlan olmo3_plan(const ConfigText& config) {
  config.check_architecture({"Olmo3ForCausalLM"});
  const DecoderConfig decoder = olmo(config, 10000);
  const auto window = config.window(4096);
  const auto sliding = config.sliding_layers(
      decoder.layers, [](u32 layer, u32 pattern) { return (layer + 1) % pattern != 0; }, 4);
  ModelPlan plan = plan_layers(decoder);
  norm_after_blocks(plan, decoder.rms_eps);
  const auto near = config.rope({}, "sliding_attention", decoder.max_position);
  plan.ropes[0].name = "full";
  plan.ropes.push_back(make_rope("sliding", near.of_this_type ? near.theta : decoder.rope_theta,
                                 decoder.head_dim,
                                 near.of_this_type ? near.scaling : RopeScaling{}));
  for (u32 l = 0; l < decoder.layers; ++l) {
    if (!sliding[l]) continue;
    if (!window) config.fields().refuse("sliding_window", "a number of positions");
    plan.layers[l].attention.window = *window;
    plan.layers[l].attention.rope = 1;
  }
  plan.linears = linear_table(plan, decoder.names());
  return plan;
}

} // namespace talaria::arch
