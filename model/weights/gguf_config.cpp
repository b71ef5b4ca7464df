#include "model/weights/gguf_config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>
#include <utility>

#include "arch/json_fields.hpp"
#include "core/error.hpp"
#include "model/weights/gguf_keys.hpp"

namespace talaria::model {

using nlohmann::json;

namespace gguf {

std::string key_of(const GgufFields& fields, std::string_view name) {
  return fmt::format("{}.{}", fields.required_text("general.architecture"), name);
}

void add_number(const GgufFields& fields, std::string_view name, const char* as, json& config) {
  if (const auto value = fields.number(key_of(fields, name))) config[as] = *value;
}

u64 head_dim_of(const GgufFields& fields) {
  const u64 heads = fields.same_integer(key_of(fields, "attention.head_count")).value_or(0);
  const u64 hidden = fields.required_integer(key_of(fields, "embedding_length"));
  if (heads == 0) fields.refuse(key_of(fields, "attention.head_count"), "a number above 0");
  return fields.integer(key_of(fields, "attention.key_length")).value_or(hidden / heads);
}

u64 layers_of(const GgufFields& fields) {
  const u64 blocks = fields.required_integer(key_of(fields, "block_count"), 4096);
  const u64 ahead = fields.integer(key_of(fields, "nextn_predict_layers")).value_or(0);
  if (ahead >= blocks)
    fields.refuse(key_of(fields, "nextn_predict_layers"), "a number below that of the blocks");
  return blocks - ahead;
}

void add_window(const GgufFields& fields, json& config) {
  const u64 window = fields.same_integer(key_of(fields, "attention.sliding_window")).value_or(0);
  config["sliding_window"] = window == 0 ? json() : json(window);
}

namespace {

/// A boolean, which some files write as a number.
bool is_true(const GgufFields& fields, const std::string& key, const GgufValue& value) {
  if (const bool* const plain = std::get_if<bool>(&value.is)) return *plain;
  const u64* const number = std::get_if<u64>(&value.is);
  const i64* const with_sign = std::get_if<i64>(&value.is);
  const u64 out = number != nullptr      ? *number
                  : with_sign != nullptr ? static_cast<u64>(*with_sign)
                                         : 2;
  if (out > 1) fields.refuse(key, "booleans, or 0 and 1");
  return out == 1;
}

} // namespace

void add_pattern(const GgufFields& fields, u64 otherwise, json& config) {
  const std::string key = key_of(fields, "attention.sliding_window_pattern");
  const u64 layers = fields.required_integer(key_of(fields, "block_count"), 4096);
  json types = json::array();
  const GgufValue* const value = fields.find(key);
  if (value != nullptr && std::holds_alternative<GgufValue::List>(value->is)) {
    const GgufValue::List& list = std::get<GgufValue::List>(value->is);
    if (list.size() != layers) fields.refuse(key, fmt::format("{} booleans", layers));
    for (const GgufValue& slides : list)
      types.push_back(is_true(fields, key, slides) ? "sliding_attention" : "full_attention");
  } else {
    const u64 every = fields.integer(key).value_or(otherwise);
    if (every == 0) fields.refuse(key, "a number above 0");
    for (u64 l = 0; l < layers; ++l)
      types.push_back((l + 1) % every == 0 ? "full_attention" : "sliding_attention");
  }
  while (types.size() > layers_of(fields)) types.erase(types.size() - 1);
  config["layer_types"] = std::move(types);
}

std::vector<u64> by_layer(const GgufFields& fields, std::string_view name) {
  const std::string key = key_of(fields, name);
  const u64 blocks = fields.required_integer(key_of(fields, "block_count"), 4096);
  const GgufValue* const value = fields.find(key);
  if (value != nullptr && std::holds_alternative<GgufValue::List>(value->is)) {
    auto out = fields.integers(key);
    if (out.size() != blocks) fields.refuse(key, fmt::format("{} numbers", blocks));
    out.resize(static_cast<std::size_t>(layers_of(fields)));
    return out;
  }
  return std::vector<u64>(static_cast<std::size_t>(layers_of(fields)),
                          fields.required_integer(key));
}

std::size_t rows_of_first(const GgufFields& fields, const GgufTensors& tensors,
                          const std::string& kind) {
  const u64 layers = fields.required_integer(key_of(fields, "block_count"), 4096);
  for (u64 l = 0; l < layers; ++l) {
    const auto at = tensors.shapes.find(fmt::format("blk.{}.{}.weight", l, kind));
    if (at != tensors.shapes.end() && at->second.size() >= 2)
      return at->second[at->second.size() - 2];
  }
  throw Error(Errc::model,
              fmt::format("{}: there is no matrix blk.N.{}.weight", fields.file(), kind));
}

} // namespace gguf

namespace {

using namespace gguf;

using Names = std::span<const std::pair<std::string_view, std::string_view>>;

/// What blk.N.X is called behind model.layers.N. in every family.
constexpr std::pair<std::string_view, std::string_view> kCommon[] = {
    {"attn_q", "self_attn.q_proj"},      {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},      {"attn_output", "self_attn.o_proj"},
    {"attn_q_norm", "self_attn.q_norm"}, {"attn_k_norm", "self_attn.k_norm"},
    {"ffn_gate", "mlp.gate_proj"},       {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"}};
constexpr std::pair<std::string_view, std::string_view> kNormsBefore[] = {
    {"attn_norm", "input_layernorm"}, {"ffn_norm", "post_attention_layernorm"}};
constexpr std::pair<std::string_view, std::string_view> kNormsAfter[] = {
    {"post_attention_norm", "post_attention_layernorm"},
    {"post_ffw_norm", "post_feedforward_layernorm"}};
constexpr std::pair<std::string_view, std::string_view> kGemmaNorms[] = {
    {"attn_norm", "input_layernorm"},
    {"post_attention_norm", "post_attention_layernorm"},
    {"ffn_norm", "pre_feedforward_layernorm"},
    {"post_ffw_norm", "post_feedforward_layernorm"}};
constexpr std::pair<std::string_view, std::string_view> kGlm4Names[] = {
    {"attn_norm", "input_layernorm"},
    {"post_attention_norm", "post_self_attn_layernorm"},
    {"ffn_norm", "post_attention_layernorm"},
    {"post_ffw_norm", "post_mlp_layernorm"},
    {"ffn_up", "mlp.gate_up_proj"}};
constexpr std::pair<std::string_view, std::string_view> kPhi3Names[] = {
    {"attn_norm", "input_layernorm"},
    {"ffn_norm", "post_attention_layernorm"},
    {"attn_qkv", "self_attn.qkv_proj"},
    {"ffn_up", "mlp.gate_up_proj"}};

// Of mixtures: one tensor for all experts of a layer.
constexpr std::pair<std::string_view, std::string_view> kExperts[] = {
    {"attn_norm", "input_layernorm"},
    {"ffn_norm", "post_attention_layernorm"},
    {"ffn_gate_inp", "mlp.gate"},
    {"ffn_gate_exps", "mlp.experts.{}.gate_proj"},
    {"ffn_up_exps", "mlp.experts.{}.up_proj"},
    {"ffn_down_exps", "mlp.experts.{}.down_proj"},
    {"ffn_gate_inp_shexp", "mlp.shared_expert_gate"},
    {"ffn_gate_shexp", "mlp.shared_expert.gate_proj"},
    {"ffn_up_shexp", "mlp.shared_expert.up_proj"},
    {"ffn_down_shexp", "mlp.shared_expert.down_proj"}};
constexpr std::pair<std::string_view, std::string_view> kMixtralNames[] = {
    {"attn_norm", "input_layernorm"},
    {"ffn_norm", "post_attention_layernorm"},
    {"ffn_gate_inp", "block_sparse_moe.gate"},
    {"ffn_gate_exps", "block_sparse_moe.experts.{}.w1"},
    {"ffn_up_exps", "block_sparse_moe.experts.{}.w3"},
    {"ffn_down_exps", "block_sparse_moe.experts.{}.w2"}};

constexpr std::pair<std::string_view, std::string_view> kGptOssNames[] = {
    {"attn_norm", "input_layernorm"},
    {"post_attention_norm", "post_attention_layernorm"},
    {"ffn_gate_inp", "mlp.router"},
    {"ffn_gate_exps", "mlp.experts.{}.gate_proj"},
    {"ffn_up_exps", "mlp.experts.{}.up_proj"},
    {"ffn_down_exps", "mlp.experts.{}.down_proj"}};
constexpr std::pair<std::string_view, std::string_view> kGptOssTensors[] = {
    {"attn_sinks.weight", "self_attn.sinks"}, {"ffn_down_exps.bias", "mlp.experts.down_proj_bias"}};

constexpr std::pair<std::string_view, std::string_view> kQwen35Names[] = {
    {"attn_norm", "input_layernorm"},        {"post_attention_norm", "post_attention_layernorm"},
    {"attn_qkv", "linear_attn.in_proj_qkv"}, {"attn_gate", "linear_attn.in_proj_z"},
    {"ssm_beta", "linear_attn.in_proj_b"},   {"ssm_alpha", "linear_attn.in_proj_a"},
    {"ssm_conv1d", "linear_attn.conv1d"},    {"ssm_norm", "linear_attn.norm"},
    {"ssm_out", "linear_attn.out_proj"}};
constexpr std::pair<std::string_view, std::string_view> kQwen35Tensors[] = {
    {"ssm_dt.bias", "linear_attn.dt_bias"}, {"ssm_a", "linear_attn.A_log"}};

constexpr std::pair<std::string_view, std::string_view> kDeepseek2Names[] = {
    {"attn_norm", "input_layernorm"},
    {"ffn_norm", "post_attention_layernorm"},
    {"attn_q_a", "self_attn.q_a_proj"},
    {"attn_q_a_norm", "self_attn.q_a_layernorm"},
    {"attn_q_b", "self_attn.q_b_proj"},
    {"attn_kv_a_mqa", "self_attn.kv_a_proj_with_mqa"},
    {"attn_kv_a_norm", "self_attn.kv_a_layernorm"},
    {"attn_kv_b", "self_attn.kv_b_proj"},
    {"attn_k_b", "self_attn.k_b_proj"},
    {"attn_v_b", "self_attn.v_b_proj"},
    {"ffn_gate_inp", "mlp.gate"},
    {"ffn_gate_exps", "mlp.experts.{}.gate_proj"},
    {"ffn_up_exps", "mlp.experts.{}.up_proj"},
    {"ffn_down_exps", "mlp.experts.{}.down_proj"},
    {"ffn_gate_shexp", "mlp.shared_experts.gate_proj"},
    {"ffn_up_shexp", "mlp.shared_experts.up_proj"},
    {"ffn_down_shexp", "mlp.shared_experts.down_proj"}};
constexpr std::pair<std::string_view, std::string_view> kDeepseek2Tensors[] = {
    {"exp_probs_b.bias", "mlp.gate.e_score_correction_bias"},
    {"exp_probs_b", "mlp.gate.e_score_correction_bias"}};

constexpr std::pair<std::string_view, std::string_view> kGemma4Names[] = {
    {"attn_norm", "input_layernorm"},          {"post_attention_norm", "post_attention_layernorm"},
    {"ffn_norm", "pre_feedforward_layernorm"}, {"post_ffw_norm", "post_feedforward_layernorm"},
    {"inp_gate", "per_layer_input_gate"},      {"proj", "per_layer_projection"},
    {"post_norm", "post_per_layer_input_norm"}};
constexpr std::pair<std::string_view, std::string_view> kGemma4Tensors[] = {
    {"layer_output_scale.weight", "layer_scalar"}};

/// Tensors that belong to no layer.
constexpr std::pair<std::string_view, std::string_view> kOutside[] = {
    {"token_embd.weight", "model.embed_tokens.weight"},
    {"output_norm.weight", "model.norm.weight"},
    {"output.weight", "lm_head.weight"},
    {"rope_freqs.weight", ""}, // read with the metadata
    {"rope_factors_short.weight", ""},
    {"rope_factors_long.weight", ""}};
constexpr std::pair<std::string_view, std::string_view> kOutsideGemma4[] = {
    {"per_layer_token_embd.weight", "model.embed_tokens_per_layer.weight"},
    {"per_layer_model_proj.weight", "model.per_layer_model_projection.weight"},
    {"per_layer_proj_norm.weight", "model.per_layer_projection_norm.weight"}};

/// One architecture of GGUF files.
struct Architecture {
  std::string_view name;
  const char* model_type;
  Names names;           ///< that come before kCommon
  bool permuted = false; ///< rows of queries and keys, see GgufRows
  bool partial = false;  ///< a part of each head may turn
  /// What only this one has. Null: nothing.
  void (*add)(const GgufFields& fields, const GgufTensors& tensors, json& config) = nullptr;
  bool experts = false;
  Names tensors = {}; ///< that have another name as a whole, suffix and all
  Names outside = {}; ///< beside kOutside
  /// Lengths of heads, widths and RoPE are not one for all layers, or mean something else: `add`
  /// reads them.
  bool own_shape = false;
  bool own_yarn = false; ///< `add` reads yarn_log_multiplier
};

/// llama.cpp knows the largest model of the kind by its layers and scales its scores otherwise.
void add_gemma(const GgufFields& fields, u64 layers_of_the_largest, json& config) {
  const u64 heads = fields.same_integer(key_of(fields, "attention.head_count")).value_or(1);
  const bool largest = fields.integer(key_of(fields, "block_count")) == layers_of_the_largest;
  const u64 hidden = fields.required_integer(key_of(fields, "embedding_length"));
  config["query_pre_attn_scalar"] = largest && heads != 0 ? hidden / heads : head_dim_of(fields);
  config["talaria_norms_hold_gain"] = true;
  add_number(fields, "attn_logit_softcapping", "attn_logit_softcapping", config);
  add_number(fields, "final_logit_softcapping", "final_logit_softcapping", config);
  add_window(fields, config);
}

void add_gemma2(const GgufFields& fields, const GgufTensors&, json& config) {
  add_gemma(fields, 46, config);
  add_pattern(fields, 2, config);
}

void add_gemma3(const GgufFields& fields, const GgufTensors&, json& config) {
  add_gemma(fields, 62, config);
  add_pattern(fields, 6, config);
  add_number(fields, "rope.freq_base_swa", "rope_local_base_freq", config);
}

void add_granite(const GgufFields& fields, const GgufTensors&, json& config) {
  add_number(fields, "attention.scale", "attention_multiplier", config);
  add_number(fields, "embedding_scale", "embedding_multiplier", config);
  add_number(fields, "residual_scale", "residual_multiplier", config);
  add_number(fields, "logit_scale", "logits_scaling", config);
  if (!fields.has(key_of(fields, "attention.scale")))
    config["attention_multiplier"] = 1 / std::sqrt(static_cast<double>(head_dim_of(fields)));
}

void add_smollm3(const GgufFields&, const GgufTensors&, json& config) {
  config["no_rope_layer_interval"] = 4;
}

void add_phi3(const GgufFields& fields, const GgufTensors&, json& config) {
  add_window(fields, config);
}

/// OLMo 3 comes under the same name, and has a window.
void add_olmo2(const GgufFields& fields, const GgufTensors&, json& config) {
  add_window(fields, config);
  if (config["sliding_window"].is_null()) return;
  config["model_type"] = "olmo3";
  add_pattern(fields, 4, config);
}

/// Numbers of experts and their widths, which the tensors show. `gating` as llama.cpp numbers it: 1
/// is softmax over all, 3 over the chosen.
void add_experts(const GgufFields& fields, const GgufTensors& tensors, const char* count,
                 const char* width, json& config, u64 gating = 1) {
  config[count] = fields.required_integer(key_of(fields, "expert_count"));
  config["num_experts_per_tok"] = fields.required_integer(key_of(fields, "expert_used_count"));
  config[width] = rows_of_first(fields, tensors, "ffn_gate_exps");
  for (const auto& [name, usual] :
       {std::pair{"expert_gating_func", gating}, {"expert_group_count", u64{1}}})
    if (fields.integer(key_of(fields, name)).value_or(usual) != usual)
      fields.refuse(key_of(fields, name), fmt::format("{} in this architecture", usual));
  const double scale = fields.number(key_of(fields, "expert_weights_scale")).value_or(1);
  if (scale != 1 && scale != 0)
    fields.refuse(key_of(fields, "expert_weights_scale"), "1 in this architecture");
}

/// Layers without a router have one feed-forward.
void add_dense_layers(const GgufFields& fields, const GgufTensors& tensors, json& config) {
  json dense = json::array();
  const u64 layers = fields.required_integer(key_of(fields, "block_count"), 4096);
  for (u64 l = 0; l < layers; ++l)
    if (!tensors.has(fmt::format("blk.{}.ffn_gate_inp.weight", l))) dense.push_back(l);
  config["mlp_only_layers"] = std::move(dense);
}

void add_normalise(const GgufFields& fields, bool usual, json& config) {
  config["norm_topk_prob"] = fields.boolean(key_of(fields, "expert_weights_norm")).value_or(usual);
}

void add_mixtral(const GgufFields& fields, const GgufTensors& tensors, json& config) {
  add_experts(fields, tensors, "num_local_experts", "intermediate_size", config);
  config.erase("attention_bias");
  config.erase("mlp_bias");
}

void add_qwen2_moe(const GgufFields& fields, const GgufTensors& tensors, json& config) {
  add_experts(fields, tensors, "num_experts", "moe_intermediate_size", config);
  add_dense_layers(fields, tensors, config);
  add_normalise(fields, false, config);
  config["shared_expert_intermediate_size"] = rows_of_first(fields, tensors, "ffn_gate_shexp");
}

void add_qwen3_moe(const GgufFields& fields, const GgufTensors& tensors, json& config) {
  add_experts(fields, tensors, "num_experts", "moe_intermediate_size", config);
  add_dense_layers(fields, tensors, config);
  add_normalise(fields, true, config);
}

void add_olmoe(const GgufFields& fields, const GgufTensors& tensors, json& config) {
  add_experts(fields, tensors, "num_experts", "intermediate_size", config);
  add_normalise(fields, false, config);
}

/// Frequencies between YaRN's bounds are not cut to whole ones, which no key says.
void add_gpt_oss(const GgufFields& fields, const GgufTensors& tensors, json& config) {
  add_experts(fields, tensors, "num_local_experts", "intermediate_size", config, 3);
  add_window(fields, config);
  add_pattern(fields, 2, config);
  config.erase("mlp_bias");
  config["talaria_experts_apart"] = true;
  if (!config.contains("rope_scaling")) config["rope_scaling"] = {{"rope_type", "default"}};
  config["rope_scaling"]["truncate"] = false;
}

void add_qwen35(const GgufFields& fields, const GgufTensors&, json& config) {
  const auto required = [&](const char* name) {
    const u64 value = fields.required_integer(key_of(fields, name));
    if (value == 0) fields.refuse(key_of(fields, name), "a number above 0");
    return value;
  };
  const u64 heads = required("ssm.time_step_rank");
  const u64 inner = required("ssm.inner_size");
  if (inner % heads != 0)
    fields.refuse(key_of(fields, "ssm.inner_size"), fmt::format("a multiple of {}", heads));
  config["linear_num_key_heads"] = required("ssm.group_count");
  config["linear_num_value_heads"] = heads;
  config["linear_key_head_dim"] = required("ssm.state_size");
  config["linear_value_head_dim"] = inner / heads;
  config["linear_conv_kernel_dim"] = required("ssm.conv_kernel");
  config["full_attention_interval"] =
      fields.integer(key_of(fields, "full_attention_interval")).value_or(4);
  for (const char* what :
       {"talaria_norms_hold_gain", "talaria_value_heads_by_turns", "talaria_decay_is_rate"})
    config[what] = true;
}

constexpr Architecture kArchitectures[] = {
    {"llama", "llama", kNormsBefore, true, false, nullptr},
    {"smollm3", "smollm3", kNormsBefore, true, false, add_smollm3},
    {"granite", "granite", kNormsBefore, true, false, add_granite},
    {"qwen2", "qwen2", kNormsBefore, false, false, nullptr},
    {"qwen3", "qwen3", kNormsBefore, false, false, nullptr},
    {"gemma2", "gemma2", kGemmaNorms, false, false, add_gemma2},
    {"gemma3", "gemma3_text", kGemmaNorms, false, false, add_gemma3},
    {"phi3", "phi3", kPhi3Names, false, true, add_phi3},
    {"olmo2", "olmo2", kNormsAfter, false, false, add_olmo2},
    {"glm4", "glm4", kGlm4Names, false, true, nullptr},
    {"llama", "mixtral", kMixtralNames, true, false, add_mixtral, true},
    {"qwen2moe", "qwen2_moe", kExperts, false, false, add_qwen2_moe, true},
    {"qwen3moe", "qwen3_moe", kExperts, false, false, add_qwen3_moe, true},
    {"olmoe", "olmoe", kExperts, false, false, add_olmoe, true},
    {"qwen35", "qwen3_5_text", kQwen35Names, false, true, add_qwen35, false, kQwen35Tensors},
    {"gpt-oss", "gpt_oss", kGptOssNames, false, false, add_gpt_oss, true, kGptOssTensors},
    {"mistral3", "ministral3", kNormsBefore, true, false, add_mistral3, false, {}, {}, false, true},
    {"deepseek2",
     "deepseek_v2",
     kDeepseek2Names,
     false,
     true,
     add_deepseek2,
     true,
     kDeepseek2Tensors,
     {},
     true,
     true},
    {"gemma4", "gemma4_text", kGemma4Names, false, false, add_gemma4, false, kGemma4Tensors,
     kOutsideGemma4, true},
};

const Architecture& architecture_of(const GgufFields& fields) {
  const std::string name = fields.required_text("general.architecture");
  const bool experts = fields.same_integer(key_of(fields, "expert_count")).value_or(0) != 0;
  std::string known;
  for (const Architecture& each : kArchitectures) {
    if (each.name == name && each.experts == experts) return each;
    if (each.name == name && name != "llama")
      fields.refuse(key_of(fields, "expert_count"),
                    each.experts ? "a number above 0" : "0: it has no experts here");
    known += fmt::format("{}{}", known.empty() ? "" : ", ", each.name);
  }
  throw Error(Errc::model,
              fmt::format("{}: general.architecture is {}, which is not supported; supported are "
                          "{}",
                          fields.file(), printable(name), known));
}

json values_json(const GgufTensors& tensors, const char* name) {
  json out = json::array();
  for (const float value : tensors.values(name)) out.push_back(double{value});
  return out;
}

/// One set of factors by which the frequencies of all lengths are divided, or two.
std::optional<json> factors_of(const GgufFields& fields, const GgufTensors& tensors) {
  if (tensors.has("rope_freqs.weight")) {
    const json factors = values_json(tensors, "rope_freqs.weight");
    return json{{"rope_type", "longrope"},
                {"short_factor", factors},
                {"long_factor", factors},
                {"attention_factor", 1}};
  }
  if (!tensors.has("rope_factors_short.weight") && !tensors.has("rope_factors_long.weight"))
    return std::nullopt;
  json out{{"rope_type", "longrope"},
           {"short_factor", values_json(tensors, "rope_factors_short.weight")},
           {"long_factor", values_json(tensors, "rope_factors_long.weight")}};
  out["attention_factor"] = fields.number(key_of(fields, "rope.scaling.attn_factor")).value_or(1);
  out["original_max_position_embeddings"] =
      fields.required_integer(key_of(fields, "rope.scaling.original_context_length"));
  return out;
}

json scaling_of(const GgufFields& fields, const GgufTensors& tensors, bool own_yarn) {
  const std::string key = key_of(fields, "rope.scaling.type");
  std::string type = fields.text(key).value_or("none");
  auto factor = fields.number(key_of(fields, "rope.scaling.factor"));
  if (const auto older = fields.number(key_of(fields, "rope.scale_linear")); older && !factor) {
    factor = older;
    if (type == "none" && *older != 1) type = "linear";
  }
  if (auto factors = factors_of(fields, tensors)) {
    if (type != "none" && type != "longrope")
      fields.refuse(key, "no scaling beside a tensor of factors");
    return std::move(*factors);
  }
  if (type == "none") return nullptr;
  if (type != "linear" && type != "yarn")
    fields.refuse(key, fmt::format("none, linear or yarn, not {}", printable(type)));
  if (!factor) fields.refuse(key_of(fields, "rope.scaling.factor"), "a number; it is missing");
  json out{{"rope_type", type}, {"factor", *factor}};
  if (type == "linear") return out;
  for (const char* unknown : {"rope.scaling.yarn_log_multiplier", "rope.scaling.yarn_ext_factor"})
    if (fields.has(key_of(fields, unknown)) &&
        !(own_yarn && std::string_view(unknown).ends_with("multiplier")))
      fields.refuse(key_of(fields, unknown), "no such key: it is not supported");
  const auto optional = [&](const char* name, const char* as) {
    if (const auto value = fields.number(key_of(fields, name))) out[as] = *value;
  };
  optional("rope.scaling.yarn_beta_fast", "beta_fast");
  optional("rope.scaling.yarn_beta_slow", "beta_slow");
  if (const auto length = fields.integer(key_of(fields, "rope.scaling.original_context_length")))
    out["original_max_position_embeddings"] = *length;
  auto magnitude = fields.number(key_of(fields, "rope.scaling.attn_factor"));
  if (!magnitude) magnitude = fields.number(key_of(fields, "rope.scaling.yarn_attn_factor"));
  if (magnitude) out["attention_factor"] = *magnitude * (1 + 0.1 * std::log(*factor));
  return out;
}

/// The share that arch's int(share * head_dim) takes back to `turned`.
double share_of(u64 turned, u64 head_dim) {
  float share = static_cast<float>(turned) / static_cast<float>(head_dim);
  if (static_cast<u64>(static_cast<float>(head_dim) * share) < turned)
    share = std::nextafter(share, 1.0f);
  return share;
}

void refuse_what_is_another_model(const GgufFields& fields, const GgufTensors& tensors,
                                  const Architecture& architecture) {
  const u64 keys = head_dim_of(fields);
  if (!architecture.own_shape &&
      fields.integer(key_of(fields, "attention.value_length")).value_or(keys) != keys)
    fields.refuse(key_of(fields, "attention.value_length"),
                  fmt::format("the length of a key, {}", keys));
  if (fields.boolean(key_of(fields, "attention.causal")) == false)
    fields.refuse(key_of(fields, "attention.causal"), "true: this is no decoder");
  if (!tensors.has("token_embd.weight") ||
      tensors.shapes.find("token_embd.weight")->second.size() != 2)
    throw Error(Errc::model, fields.file() + ": there is no matrix token_embd.weight");
}

} // namespace

std::vector<u32> gguf_ends(const GgufFields& fields) {
  constexpr std::string_view kEnds[] = {"<|eot_id|>",     "<|eom_id|>",    "<|im_end|>",
                                        "<|end|>",        "<end_of_turn>", "<|endoftext|>",
                                        "<|end_of_text|>"};
  // Of harmony, in which <|end|> ends a message, and the answer may go on with the next.
  constexpr std::string_view kHarmonyEnds[] = {"<|return|>", "<|call|>", "<|endoftext|>"};
  constexpr u64 kControl = 3;
  std::vector<u32> out;
  const auto add = [&out](u64 id) {
    if (std::find(out.begin(), out.end(), id) == out.end()) out.push_back(static_cast<u32>(id));
  };
  for (const char* name : {"eos", "eot", "eom"})
    if (const auto id = fields.integer(fmt::format("tokenizer.ggml.{}_token_id", name))) add(*id);
  const auto* const tokens = fields.texts("tokenizer.ggml.tokens");
  const auto types = fields.integers("tokenizer.ggml.token_type");
  if (tokens == nullptr) return out;
  std::map<std::string_view, u64> control;
  for (std::size_t id = 0; id < std::min(tokens->size(), types.size()); ++id)
    if (types[id] == kControl) control.emplace(std::get<std::string>((*tokens)[id].is), id);
  const bool harmony = control.contains("<|return|>") && control.contains("<|call|>");
  for (const auto& text : harmony ? std::span<const std::string_view>(kHarmonyEnds) : kEnds)
    if (const auto at = control.find(text); at != control.end()) add(at->second);
  if (const auto end = control.find("<|end|>"); harmony && end != control.end())
    std::erase(out, static_cast<u32>(end->second));
  return out;
}

std::string gguf_config(const GgufFields& fields, const GgufTensors& tensors) {
  const Architecture& architecture = architecture_of(fields);
  refuse_what_is_another_model(fields, tensors, architecture);
  const u64 vocab = tensors.shapes.find("token_embd.weight")->second[0];
  const u64 head_dim = head_dim_of(fields);
  json config{
      {"model_type", architecture.model_type},
      {"vocab_size", vocab},
      {"hidden_size", fields.required_integer(key_of(fields, "embedding_length"))},
      {"num_hidden_layers", layers_of(fields)},
      {"num_attention_heads", *fields.same_integer(key_of(fields, "attention.head_count"))},
      {"head_dim", head_dim},
      {"max_position_embeddings", fields.required_integer(key_of(fields, "context_length"))},
      {"rope_theta", fields.number(key_of(fields, "rope.freq_base")).value_or(10000)},
      {"tie_word_embeddings", !tensors.has("output.weight")},
      {"attention_bias", tensors.has("blk.0.attn_q.bias") &&
                             !std::string_view(architecture.model_type).starts_with("qwen2")},
      {"mlp_bias", tensors.has("blk.0.ffn_up.bias")},
  };
  const auto require = [&](const char* name, const char* as) {
    const auto value = fields.same_integer(key_of(fields, name));
    if (!value) fields.refuse(key_of(fields, name), "a whole number; it is missing");
    config[as] = *value;
  };
  if (!architecture.own_shape) {
    require("feed_forward_length", "intermediate_size");
    const auto kv = fields.same_integer(key_of(fields, "attention.head_count_kv"));
    config["num_key_value_heads"] = kv ? json(*kv) : config["num_attention_heads"];
  }
  const auto eps = fields.number(key_of(fields, "attention.layer_norm_rms_epsilon"));
  if (!eps)
    fields.refuse(key_of(fields, "attention.layer_norm_rms_epsilon"), "a number; it is missing");
  config["rms_norm_eps"] = *eps;
  const u64 turned = fields.integer(key_of(fields, "rope.dimension_count")).value_or(head_dim);
  if (!architecture.own_shape) {
    if (turned > head_dim || (turned != head_dim && !architecture.partial))
      fields.refuse(key_of(fields, "rope.dimension_count"),
                    fmt::format("the length of a key, {}", head_dim));
    // Said even if it is 1: a class may have another default.
    if (architecture.partial) config["partial_rotary_factor"] = share_of(turned, head_dim);
  }
  const bool own_rope = architecture.own_shape && !architecture.own_yarn;
  if (json scaling = own_rope ? json() : scaling_of(fields, tensors, architecture.own_yarn);
      !scaling.is_null())
    config["rope_scaling"] = std::move(scaling);
  if (const auto bos = fields.integer("tokenizer.ggml.bos_token_id")) config["bos_token_id"] = *bos;
  if (const auto ends = gguf_ends(fields); !ends.empty()) config["eos_token_id"] = ends;
  if (architecture.add != nullptr) architecture.add(fields, tensors, config);
  return config.dump(1) + "\n";
}

GgufTarget gguf_target(const GgufFields& fields, const std::string& tensor) {
  const Architecture& architecture = architecture_of(fields);
  for (const Names names : {Names(kOutside), architecture.outside})
    for (const auto& [theirs, ours] : names)
      if (theirs == tensor) return {std::string(ours)};
  const auto unknown = [&]() -> Error {
    return {Errc::model, fmt::format("{}: tensor {} is not known in a model of architecture {}",
                                     fields.file(), printable(tensor), architecture.name)};
  };
  const auto first = tensor.find('.');
  const auto second = first == std::string::npos ? first : tensor.find('.', first + 1);
  const auto last = tensor.rfind('.');
  if (!tensor.starts_with("blk.") || second == std::string::npos) throw unknown();
  const std::string layer = tensor.substr(first + 1, second - first - 1);
  const std::string whole = tensor.substr(second + 1);
  const std::string kind = last > second ? tensor.substr(second + 1, last - second - 1) : whole;
  const std::string suffix = last > second ? tensor.substr(last + 1) : "";
  const bool numbered =
      !layer.empty() && layer.size() < 6 &&
      std::all_of(layer.begin(), layer.end(), [](char c) { return c >= '0' && c <= '9'; }) &&
      (layer[0] != '0' || layer == "0");
  if (!numbered) throw unknown();
  const u64 number = std::stoull(layer);
  if (number >= layers_of(fields) &&
      number < fields.required_integer(key_of(fields, "block_count")))
    return {}; // predicts several tokens ahead
  for (const auto& [theirs, ours] : architecture.tensors)
    if (theirs == whole) return {fmt::format("model.layers.{}.{}", layer, ours)};
  if (suffix != "weight" && suffix != "bias") throw unknown();
  if (kind == "attn_rot_embd") return {}; // of old files; the plan has its own
  for (const Names names : {architecture.names, Names(kCommon)})
    for (const auto& [theirs, ours] : names) {
      if (theirs != kind) continue;
      GgufTarget out{fmt::format("model.layers.{}.{}.{}", layer, ours, suffix)};
      if (architecture.permuted && (kind == "attn_q" || kind == "attn_k"))
        out.head_rows = static_cast<std::size_t>(head_dim_of(fields));
      out.experts = ours.find("{}") != std::string_view::npos;
      out.one_row = kind == "ffn_gate_inp_shexp";
      out.channels = kind == "ssm_conv1d";
      return out;
    }
  throw unknown();
}

} // namespace talaria::model
