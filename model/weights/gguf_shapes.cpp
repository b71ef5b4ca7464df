// Architectures whose files hold something in another form than their published folders: Ministral
// 3, DeepSeek V2 and V3, Gemma 4. What the keys mean is what llama.cpp makes of them.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/error.hpp"
#include "model/weights/gguf_keys.hpp"

namespace talaria::model::gguf {

using nlohmann::json;

namespace {

/// How many numbers of `list` are as the first one.
std::size_t run_of_first(const std::vector<float>& list) {
  std::size_t count = 0;
  while (count < list.size() && list[count] == list.front()) ++count;
  return count;
}

/// Whether a layer of this kind holds matrices of values.
bool has_values(const GgufTensors& tensors, const json& types, const char* kind) {
  for (std::size_t l = 0; l < types.size(); ++l)
    if (types[l] == kind && tensors.has(fmt::format("blk.{}.attn_v.weight", l))) return true;
  return false;
}

/// The number of the layers of this kind; nothing if there is none of them.
/// @throws Error{model} if they do not agree.
std::optional<u64> of_kind(const GgufFields& fields, const char* name, const json& types,
                           const char* kind) {
  const auto numbers = by_layer(fields, name);
  std::optional<u64> out;
  for (std::size_t l = 0; l < numbers.size(); ++l) {
    if (types[l] != kind) continue;
    if (out && *out != numbers[l])
      fields.refuse(key_of(fields, name), "one number for all layers of a kind");
    out = numbers[l];
  }
  return out;
}

/// The pairs of a head of full layers that turn have the factor 1, and the others one so large that
/// they stand still.
json proportional(const GgufFields& fields, const GgufTensors& tensors, u64 head_dim) {
  constexpr float kStandsStill = 1e20F;
  const std::vector<float> factors = tensors.values("rope_freqs.weight");
  const std::size_t turning = run_of_first(factors);
  const bool known = factors.size() == head_dim / 2 && factors.front() == 1 &&
                     std::all_of(factors.begin() + static_cast<std::ptrdiff_t>(turning),
                                 factors.end(), [](float x) { return x >= kStandsStill; });
  if (!known)
    throw Error(Errc::model,
                fmt::format("{}: tensor rope_freqs.weight: expected {} numbers, first those of 1, "
                            "then those of 1e30",
                            fields.file(), head_dim / 2));
  // arch takes int(share head_dim / 2) back to `turning`.
  double share = 2.0 * static_cast<double>(turning) / static_cast<double>(head_dim);
  const auto pairs = [&] {
    return std::floor(double{static_cast<float>(share)} * static_cast<double>(head_dim) / 2);
  };
  if (pairs() < static_cast<double>(turning))
    share = double{std::nextafter(static_cast<float>(share), 2.0F)};
  return {{"rope_type", "proportional"},
          {"partial_rotary_factor", share},
          {"rope_theta", fields.number(key_of(fields, "rope.freq_base")).value_or(10000)}};
}

/// The last layers read keys and values of others, and may be twice as wide.
void add_sharing(const GgufFields& fields, json& config) {
  const auto widths = by_layer(fields, "feed_forward_length");
  const u64 sharing = fields.integer(key_of(fields, "attention.shared_kv_layers")).value_or(0);
  if (sharing >= widths.size())
    fields.refuse(key_of(fields, "attention.shared_kv_layers"), "fewer than all layers");
  const std::size_t first = widths.size() - static_cast<std::size_t>(sharing);
  const u64 factor = widths.back() == widths.front() ? 1 : 2;
  for (std::size_t l = 0; l < widths.size(); ++l)
    if (widths[l] != widths.front() * (l < first ? 1 : factor))
      fields.refuse(
          key_of(fields, "feed_forward_length"),
          "one number for all layers, or twice that for those that share keys and values");
  config["intermediate_size"] = widths.front();
  config["num_kv_shared_layers"] = sharing;
  config["use_double_wide_mlp"] = factor == 2;
}

/// YaRN's magnitude of scores by the dimensions of a head: 0 if the file has none.
double all_dims(const GgufFields& fields, double unit) {
  const auto value = fields.number(key_of(fields, "rope.scaling.yarn_log_multiplier"));
  return value ? double{static_cast<float>(*value)} / unit : 0;
}

void add_mixture(const GgufFields& fields, const GgufTensors& tensors, json& config) {
  const u64 gating = fields.integer(key_of(fields, "expert_gating_func")).value_or(0);
  if (gating > 2) fields.refuse(key_of(fields, "expert_gating_func"), "1 (softmax) or 2 (sigmoid)");
  const bool sigmoid = gating == 2;
  if (sigmoid) config["model_type"] = "deepseek_v3";
  const std::size_t width = rows_of_first(fields, tensors, "ffn_gate_exps");
  config["n_routed_experts"] = fields.required_integer(key_of(fields, "expert_count"));
  config["num_experts_per_tok"] = fields.required_integer(key_of(fields, "expert_used_count"));
  config["moe_intermediate_size"] = width;
  config["first_k_dense_replace"] =
      fields.integer(key_of(fields, "leading_dense_block_count")).value_or(0);
  const std::size_t shared = fields.integer(key_of(fields, "expert_shared_count")).value_or(0) == 0
                                 ? 0
                                 : rows_of_first(fields, tensors, "ffn_gate_shexp");
  if (shared % width != 0)
    throw Error(Errc::model,
                fmt::format("{}: shared experts of {} outputs are no multiple of an expert's {}",
                            fields.file(), shared, width));
  config["n_shared_experts"] = shared / width;
  config["norm_topk_prob"] = fields.boolean(key_of(fields, "expert_weights_norm")).value_or(false);
  const double scale = fields.number(key_of(fields, "expert_weights_scale")).value_or(0);
  config["routed_scaling_factor"] = scale == 0 ? 1 : scale; // 0: not scaled
  const u64 groups = fields.integer(key_of(fields, "expert_group_count")).value_or(1);
  config["n_group"] = groups == 0 ? 1 : groups;
  config["topk_group"] = fields.integer(key_of(fields, "expert_group_used_count")).value_or(1);
  if (!sigmoid) config["topk_method"] = groups > 1 ? "group_limited_greedy" : "greedy";
}

} // namespace

void add_mistral3(const GgufFields& fields, const GgufTensors&, json& config) {
  json rope = config.contains("rope_scaling") ? config["rope_scaling"] : json::object();
  const double magnitude = all_dims(fields, 1);
  if (magnitude != 0 && rope.contains("attention_factor"))
    fields.refuse(key_of(fields, "rope.scaling.attn_factor"), "none beside yarn_log_multiplier");
  if (magnitude != 0) {
    rope["mscale"] = 1;
    rope["mscale_all_dim"] = magnitude;
  }
  if (const auto beta = fields.number(key_of(fields, "attention.temperature_scale"));
      beta && *beta != 0) {
    if (!rope.contains("original_max_position_embeddings"))
      fields.refuse(key_of(fields, "rope.scaling.original_context_length"),
                    "a number, because attention.temperature_scale is there");
    rope["llama_4_scaling_beta"] = *beta;
  }
  rope["rope_theta"] = config["rope_theta"];
  config.erase("rope_theta");
  config.erase("rope_scaling");
  config["rope_parameters"] = std::move(rope);
}

void add_deepseek2(const GgufFields& fields, const GgufTensors& tensors, json& config) {
  const auto number = [&](const char* name) {
    return fields.required_integer(key_of(fields, name));
  };
  // Files since 2025 also say what one head that all share would have, under the older keys.
  const u64 keys =
      fields.integer(key_of(fields, "attention.key_length_mla")).value_or(head_dim_of(fields));
  const auto values = fields.integer(key_of(fields, "attention.value_length_mla"));
  const u64 turned = number("rope.dimension_count");
  if (turned >= keys)
    fields.refuse(key_of(fields, "rope.dimension_count"),
                  fmt::format("less than the length of a key, {}", keys));
  config.erase("head_dim");
  config.erase("partial_rotary_factor");
  config["intermediate_size"] = number("feed_forward_length");
  config["num_key_value_heads"] = config["num_attention_heads"];
  config["qk_rope_head_dim"] = turned;
  config["qk_nope_head_dim"] = keys - turned;
  config["v_head_dim"] = values ? *values : number("attention.value_length");
  config["kv_lora_rank"] = number("attention.kv_lora_rank");
  const u64 queries = fields.integer(key_of(fields, "attention.q_lora_rank")).value_or(0);
  config["q_lora_rank"] = queries == 0 ? json() : json(queries);
  config["attention_bias"] = false;
  config.erase("mlp_bias");
  add_mixture(fields, tensors, config);
  if (!config.contains("rope_scaling") || config["rope_scaling"]["rope_type"] != "yarn") return;
  json& rope = config["rope_scaling"];
  if (rope.contains("attention_factor"))
    fields.refuse(key_of(fields, "rope.scaling.attn_factor"), "none in this architecture");
  const double magnitude = all_dims(fields, double{0.1F});
  if (magnitude == 0)
    fields.refuse(key_of(fields, "rope.scaling.yarn_log_multiplier"),
                  "a number, because rope.scaling.type is yarn");
  rope["mscale"] = magnitude;
  rope["mscale_all_dim"] = magnitude;
}

void add_gemma4(const GgufFields& fields, const GgufTensors& tensors, json& config) {
  add_pattern(fields, 6, config);
  const json types = config["layer_types"];
  const u64 full = head_dim_of(fields);
  const u64 near = fields.required_integer(key_of(fields, "attention.key_length_swa"));
  for (const auto& [name, length] : {std::pair{"attention.value_length", full},
                                     {"attention.value_length_swa", near},
                                     {"rope.dimension_count", full},
                                     {"rope.dimension_count_swa", near}})
    if (fields.integer(key_of(fields, name)).value_or(length) != length)
      fields.refuse(key_of(fields, name), fmt::format("the length of a key, {}", length));
  config["global_head_dim"] = full;
  config["head_dim"] = near;
  const auto of_full = of_kind(fields, "attention.head_count_kv", types, "full_attention");
  const auto of_near = of_kind(fields, "attention.head_count_kv", types, "sliding_attention");
  config["num_key_value_heads"] = of_near ? *of_near : of_full.value_or(1);
  const bool keys_are_values = of_full && !has_values(tensors, types, "full_attention");
  config["attention_k_eq_v"] = keys_are_values;
  if (keys_are_values) config["num_global_key_value_heads"] = *of_full;
  add_sharing(fields, config);
  add_window(fields, config);
  add_number(fields, "final_logit_softcapping", "final_logit_softcapping", config);
  const double near_theta = fields.number(key_of(fields, "rope.freq_base_swa")).value_or(10000);
  config["rope_parameters"] = {
      {"full_attention", proportional(fields, tensors, full)},
      {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", near_theta}}}};
  config.erase("rope_theta");
  config["hidden_size_per_layer_input"] =
      fields.integer(key_of(fields, "embedding_length_per_layer_input")).value_or(0);
  if (const auto table = tensors.shapes.find("per_layer_token_embd.weight");
      table != tensors.shapes.end())
    config["vocab_size_per_layer_input"] = table->second.front();
}

} // namespace talaria::model::gguf
