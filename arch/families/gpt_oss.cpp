#include "arch/families/families.hpp"
#include "arch/families/mixture_text.hpp"

namespace talaria::arch {

namespace {

/// Of config.json files that do not mention RoPE's scaling.
RopeScaling usual_yarn() {
  RopeScaling out;
  out.kind = RopeScaling::Kind::yarn;
  out.factor = 32;
  out.original_max_position = 4096;
  out.truncate = false;
  return out;
}

/// The experts of a layer are one tensor, [in, out] for each, in which outputs of gate and up take
/// turns. Files in MXFP4 have them as [out, in]. What GGUF files have is seen as matrices and
/// vectors of their own (`apart`).
void stack_experts(const std::string& mlp, bool apart, FeedForward& shape) {
  for (Expert& expert : shape.experts) {
    if (apart) {
      expert.stacked_gate = expert.stacked_up = expert.stacked_down = std::nullopt;
      continue;
    }
    for (auto* part : {&expert.stacked_gate, &expert.stacked_up}) {
      (*part)->inputs_first = true;
      (*part)->first = part == &expert.stacked_gate ? 0 : 1;
      (*part)->step = 2;
      (*part)->bias = mlp + "experts.gate_up_proj_bias";
    }
    expert.stacked_down->inputs_first = true;
  }
  shape.down_bias = mlp + "experts.down_proj_bias";
}

Defaults defaults_of_gpt_oss() {
  Defaults defaults;
  defaults.kv_heads = 8;
  defaults.head_dim = 64;
  defaults.max_position = 131072;
  defaults.rope_theta = 150000;
  defaults.rms_eps = 1e-5F;
  defaults.attention_bias = true;
  defaults.biased = true;
  defaults.experts = true;
  defaults.mxfp4 = true;
  return defaults;
}

} // namespace

// gpt-oss: biases everywhere, windows in every other layer, one more score per head in attention,
// and a mixture whose activation is clamped. Experts that are chosen share by softmax among them,
// which is softmax over all, divided by the sum.
ModelPlan gpt_oss_plan(const ConfigText& config) {
  config.check_architecture({"GptOssForCausalLM"});
  const JsonFields& fields = config.fields();
  DecoderConfig decoder = config.decoder(defaults_of_gpt_oss());
  if (!fields.present("rope_scaling") && !fields.present("rope_parameters"))
    decoder.rope_scaling = usual_yarn();
  const auto window = config.window(128);
  const auto sliding = config.sliding_layers(
      decoder.layers, [](u32 layer, u32) { return layer % 2 == 0; }, 0);
  ModelPlan plan = plan_layers(decoder);
  MixtureText text;
  text.count_key = "num_local_experts";
  text.hidden = decoder.hidden;
  text.width = decoder.intermediate;
  text.default_chosen = fields.integer("experts_per_token", 1, ~0u).value_or(4);
  text.normalise = true;
  text.router = "router.weight";
  const bool apart = fields.boolean("talaria_experts_apart").value_or(false);
  const float limit = fields.number("swiglu_limit", positive, "a positive number").value_or(7);
  for (u32 l = 0; l < plan.layer_count(); ++l) {
    Layer& layer = plan.layers[l];
    const std::string mlp = layer.prefix + "mlp.";
    layer.attention.sinks = layer.prefix + "self_attn.sinks";
    if (sliding[l] && !window) fields.refuse("sliding_window", "a number of positions");
    if (sliding[l]) layer.attention.window = *window;
    mix(config, text, layer);
    layer.feed_forward.router->bias = mlp + "router.bias";
    layer.feed_forward.activation = Activation::clamped_swiglu;
    layer.feed_forward.limit = limit;
    stack_experts(mlp, apart, layer.feed_forward);
  }
  TensorNames names = decoder.names();
  names.expert_bias = true;
  plan.linears = linear_table(plan, names);
  return plan;
}

} // namespace talaria::arch
