#include <fmt/format.h>

#include <cmath>

#include "arch/families/families.hpp"
#include "arch/families/mixture_text.hpp"

// DeepSeek: latent attention, and mixtures behind the first layers.
namespace talaria::arch {

namespace {

constexpr u32 kMaxRank = 1u << 17;
constexpr u32 kMaxPart = 2048;      ///< of a head
constexpr float kLatentEps = 1e-6f; ///< whatever rms_norm_eps says

/// What V2 and V3 have in different ways.
struct Version {
  const char* architecture;
  u32 max_position;
  u32 dense_layers; ///< first ones, if the file does not say
  u32 chosen;
  u32 shared; ///< experts
  bool sigmoid;
  bool normalise;
  float scale;
};

constexpr Version kV2{"DeepseekV2ForCausalLM", 2048, 0, 6, 2, false, false, 1};
constexpr Version kV3{"DeepseekV3ForCausalLM", 4096, 3, 8, 1, true, true, 2.5f};

Latent latent_of(const ConfigText& config, const std::string& prefix, u32 turned) {
  const JsonFields& fields = config.fields();
  Latent out;
  out.kv_rank = fields.integer("kv_lora_rank", 1, kMaxRank).value_or(512);
  const u32 usual = fields.present("q_lora_rank") ? 0 : 1536; // null: queries come as they are
  out.query_rank = fields.integer("q_lora_rank", 1, kMaxRank).value_or(usual);
  out.turned = turned;
  out.query_norm = {prefix + "self_attn.q_a_layernorm.weight", kLatentEps, false};
  out.kv_norm = {prefix + "self_attn.kv_a_layernorm.weight", kLatentEps, false};
  return out;
}

/// YaRN's magnitude goes to the scores, squared, and not to cos and sin.
float scale_of(const RopeScaling& scaling, u32 head_dim) {
  const float plain = 1.0f / std::sqrt(static_cast<float>(head_dim));
  if (scaling.kind != RopeScaling::Kind::yarn || scaling.mscale_all_dim == 0) return plain;
  const double magnitude = yarn_mscale(scaling.factor, scaling.mscale_all_dim);
  return static_cast<float>(magnitude * magnitude / std::sqrt(static_cast<double>(head_dim)));
}

void attend_by_latents(const ConfigText& config, const DecoderConfig& decoder, ModelPlan& plan) {
  const JsonFields& fields = config.fields();
  if (decoder.kv_heads != decoder.heads)
    fields.refuse("num_key_value_heads",
                  fmt::format("num_attention_heads, which is {}", decoder.heads));
  const u32 turned = decoder.head_dim;
  const u32 head_dim = turned + fields.integer("qk_nope_head_dim", 1, kMaxPart).value_or(128);
  const u32 value_dim = fields.integer("v_head_dim", 1, kMaxPart).value_or(128);
  plan.ropes[0].neighbours = fields.boolean("rope_interleave").value_or(true);
  for (Layer& layer : plan.layers) {
    Attention& attention = layer.attention;
    attention.latent = latent_of(config, layer.prefix, turned);
    attention.head_dim = head_dim;
    attention.value_dim = value_dim;
    attention.scale = scale_of(decoder.rope_scaling, head_dim);
  }
}

void require_word(const JsonFields& fields, const char* name, const char* word) {
  if (fields.text(name).value_or(word) != word) fields.refuse(name, fmt::format("\"{}\"", word));
}

/// Groups of experts, if some are left out.
void group(const JsonFields& fields, bool by_two, u32 experts, u32 usual, Router& router) {
  const u32 groups = fields.integer("n_group", 1, experts).value_or(usual);
  const u32 chosen = fields.integer("topk_group", 1, ~0u).value_or(usual == 1 ? 1 : usual / 2);
  if (experts % groups != 0 || (by_two && chosen < groups && experts / groups < 2))
    fields.refuse("n_group", fmt::format("a divisor of n_routed_experts, which is {}{}", experts,
                                         by_two ? ", with two experts in each at least" : ""));
  if (chosen > groups)
    fields.refuse("topk_group", fmt::format("at most n_group, which is {}", groups));
  router.groups = groups;
  router.groups_chosen = chosen;
  router.group_by_two = by_two;
}

void route(const ConfigText& config, const Version& version, Layer& layer) {
  const JsonFields& fields = config.fields();
  Router& router = *layer.feed_forward.router;
  const auto experts = static_cast<u32>(layer.feed_forward.routed());
  router.sigmoid = version.sigmoid;
  router.scale =
      fields.number("routed_scaling_factor", positive, "a positive number").value_or(version.scale);
  require_word(fields, "scoring_func", version.sigmoid ? "sigmoid" : "softmax");
  if (version.sigmoid) {
    require_word(fields, "topk_method", "noaux_tc");
    router.choice_bias = layer.prefix + "mlp.gate.e_score_correction_bias";
    group(fields, true, experts, 8, router);
    return;
  }
  const std::string method = fields.text("topk_method").value_or("greedy");
  if (method == "group_limited_greedy")
    group(fields, false, experts, 1, router);
  else if (method != "greedy")
    fields.refuse("topk_method", "\"greedy\" or \"group_limited_greedy\"");
}

void mix_layers(const ConfigText& config, const Version& version, u32 hidden, ModelPlan& plan) {
  const JsonFields& fields = config.fields();
  if (fields.integer("moe_layer_freq", 0, ~0u).value_or(1) != 1)
    fields.refuse("moe_layer_freq", "1: a mixture in every layer from first_k_dense_replace on");
  const u32 dense = fields.integer("first_k_dense_replace", 0, ~0u).value_or(version.dense_layers);
  if (dense >= plan.layer_count()) return;
  MixtureText text;
  text.count_key = "n_routed_experts";
  text.hidden = hidden;
  text.width = expert_width(config, "moe_intermediate_size");
  text.default_chosen = version.chosen;
  text.normalise = fields.boolean("norm_topk_prob").value_or(version.normalise);
  const u32 shared = fields.present("n_shared_experts") ? 0 : version.shared; // null: none
  text.shared = text.width * fields.integer("n_shared_experts", 0, 1024).value_or(shared);
  for (u32 l = dense; l < plan.layer_count(); ++l) {
    mix(config, text, plan.layers[l]);
    route(config, version, plan.layers[l]);
    if (text.shared != 0) share_always(text, plan.layers[l]);
  }
}

ModelPlan deepseek_plan(const ConfigText& config, const Version& version) {
  config.check_architecture({version.architecture});
  Defaults defaults;
  defaults.head_dim_key = "qk_rope_head_dim";
  defaults.head_dim = 64;
  defaults.max_position = version.max_position;
  defaults.attention_bias = true;
  defaults.experts = true;
  const DecoderConfig decoder = config.decoder(defaults);
  config.require_layer_types(decoder);
  ModelPlan plan = plan_layers(decoder);
  attend_by_latents(config, decoder, plan);
  mix_layers(config, version, decoder.hidden, plan);
  plan.linears = linear_table(plan, decoder.names());
  return plan;
}

} // namespace

// V2 and V2-Lite: softmax over all experts.
ModelPlan deepseek_v2_plan(const ConfigText& config) {
  return deepseek_plan(config, kV2);
}

// V3 and R1: sigmoid of each expert; a bias that only the choice sees balances them.
ModelPlan deepseek_v3_plan(const ConfigText& config) {
  return deepseek_plan(config, kV3);
}

} // namespace talaria::arch
