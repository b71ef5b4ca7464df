#include "model/weights/model_config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <span>

#include "core/error.hpp"
#include "model/weights/json_fields.hpp"
#include "model/weights/private_file.hpp"

namespace talaria::model {

using nlohmann::json;

namespace {

// Upper limits: far above any published model, and low enough that heads * head_dim fits 32 bits
// and every product of two dimensions fits 64.
constexpr u32 kMaxWidth = 1u << 20;
constexpr u32 kMaxLayers = 4096;
constexpr u32 kMaxHeads = 4096;
constexpr u32 kMaxHeadDim = 4096;
constexpr u32 kMaxVocab = 1u << 24;
constexpr u32 kMaxPosition = 1u << 24; // the last one that fp32 positions tell apart

/// How a family differs from the common decoder, and its defaults in transformers.
struct Family {
  const char* model_type;
  const char* architecture;
  u32 kv_heads;     ///< when the key is absent; 0: as many as heads
  u32 head_dim;     ///< when the key is absent; 0: hidden / heads
  u32 max_position; ///< when the key is absent
  bool qkv_bias;    ///< always there
  bool qk_norm;
  bool attention_bias; ///< the field exists: biases on q, k, v and o
  bool mlp_bias;       ///< the field exists
};

constexpr Family kFamilies[] = {
    {"llama", "LlamaForCausalLM", 0, 0, 2048, false, false, true, true},
    {"mistral", "MistralForCausalLM", 8, 0, 131072, false, false, false, false},
    {"qwen2", "Qwen2ForCausalLM", 32, 0, 32768, true, false, false, false},
    {"qwen3", "Qwen3ForCausalLM", 32, 128, 32768, false, true, true, false},
};

bool positive(float x) {
  return std::isfinite(x) && x > 0;
}

const Family& family_of(const JsonFields& fields) {
  const auto type = fields.text("model_type").value_or("");
  for (const Family& family : kFamilies)
    if (type == family.model_type) return family;
  fields.refuse("model_type", "llama, mistral, qwen2 or qwen3");
}

void check_architecture(const JsonFields& fields, const Family& family) {
  const json* names = fields.find("architectures");
  if (names == nullptr) return;
  if (*names != json::array({family.architecture}))
    fields.refuse("architectures", fmt::format("[\"{}\"] with model_type {}", family.architecture,
                                               family.model_type));
}

/// Fields that change what is computed, with the one value under which they change nothing.
void refuse_what_is_not_computed(const JsonFields& fields, const Family& family) {
  if (fields.find("quantization_config") != nullptr)
    fields.refuse("quantization_config", "bf16, f16 or f32 weights, without this field");
  for (const char* name : {"num_experts", "num_local_experts", "n_routed_experts"})
    if (fields.integer(name, 0, kMaxWidth).value_or(0) != 0)
      fields.refuse(name, "a dense model, without this field");
  if (fields.number("partial_rotary_factor", positive, "1").value_or(1) != 1)
    fields.refuse("partial_rotary_factor", "1: RoPE over the whole head");
  if (fields.text("hidden_act").value_or("silu") != "silu") fields.refuse("hidden_act", "\"silu\"");
  if (!family.attention_bias && fields.boolean("attention_bias").value_or(false))
    fields.refuse("attention_bias", fmt::format("false with model_type {}", family.model_type));
  if (!family.mlp_bias && fields.boolean("mlp_bias").value_or(false))
    fields.refuse("mlp_bias", fmt::format("false with model_type {}", family.model_type));
}

void read_dimensions(const JsonFields& fields, const Family& family, ModelConfig& config) {
  config.hidden = fields.required_integer("hidden_size", 1, kMaxWidth);
  config.intermediate = fields.required_integer("intermediate_size", 1, kMaxWidth);
  config.layers = fields.required_integer("num_hidden_layers", 1, kMaxLayers);
  config.heads = fields.required_integer("num_attention_heads", 1, kMaxHeads);
  config.vocab = fields.required_integer("vocab_size", 1, kMaxVocab);
  config.max_position =
      fields.integer("max_position_embeddings", 1, kMaxPosition).value_or(family.max_position);

  const bool kv_default = !fields.present("num_key_value_heads") && family.kv_heads != 0;
  config.kv_heads = fields.integer("num_key_value_heads", 1, kMaxHeads)
                        .value_or(kv_default ? family.kv_heads : config.heads);
  if (config.heads % config.kv_heads != 0)
    fields.refuse("num_key_value_heads",
                  fmt::format("a divisor of num_attention_heads, which is {}", config.heads));

  if (const auto head_dim = fields.integer("head_dim", 2, kMaxHeadDim)) {
    config.head_dim = *head_dim;
  } else if (!fields.present("head_dim") && family.head_dim != 0) {
    config.head_dim = family.head_dim;
  } else {
    if (config.hidden % config.heads != 0)
      fields.refuse("head_dim", fmt::format("a value, because hidden_size {} is no multiple of "
                                            "num_attention_heads {}",
                                            config.hidden, config.heads));
    config.head_dim = config.hidden / config.heads;
  }
  if (config.head_dim % 2 != 0 || config.head_dim > kMaxHeadDim)
    fields.refuse("head_dim",
                  fmt::format("an even number up to {}, not {}", kMaxHeadDim, config.head_dim));
}

/// The kind of a RoPE object; older files say "type", newer ones "rope_type", some say both.
std::string rope_kind(const JsonFields& rope) {
  const auto newer = rope.text("rope_type");
  const auto older = rope.text("type");
  if (newer && older && *newer != *older)
    rope.refuse("type", fmt::format("the same as rope_type, \"{}\"", printable(*newer)));
  return newer ? *newer : older.value_or("default");
}

void refuse_unknown_rope_fields(const json& object, const JsonFields& rope,
                                std::span<const char* const> known) {
  for (const auto& [key, value] : object.items()) {
    if (value.is_null() || std::find(known.begin(), known.end(), key) != known.end()) continue;
    if (key == "partial_rotary_factor" && value == 1) continue;
    std::string list;
    for (const char* name : known) list += std::string(list.empty() ? "" : ", ") + name;
    rope.refuse(key.c_str(), "only these fields: " + list);
  }
}

RopeScaling read_rope_scaling(const json& object, const JsonFields& rope) {
  static constexpr const char* kPlain[] = {"rope_type", "type", "rope_theta", "factor"};
  static constexpr const char* kLlama3[] = {"rope_type",
                                            "type",
                                            "rope_theta",
                                            "factor",
                                            "low_freq_factor",
                                            "high_freq_factor",
                                            "original_max_position_embeddings"};
  RopeScaling out;
  const auto kind = rope_kind(rope);
  if (kind == "default") {
    refuse_unknown_rope_fields(object, rope, kPlain);
    return out;
  }
  if (kind != "linear" && kind != "llama3")
    rope.refuse(rope.present("rope_type") ? "rope_type" : "type",
                "\"default\", \"linear\" or \"llama3\"");
  const auto required = [&rope](const char* name) {
    const auto value = rope.number(name, positive, "a positive number");
    if (!value) rope.refuse(name, "a positive number");
    return *value;
  };
  out.factor = required("factor");
  if (kind == "linear") {
    refuse_unknown_rope_fields(object, rope, kPlain);
    out.kind = RopeScaling::Kind::linear;
    return out;
  }
  refuse_unknown_rope_fields(object, rope, kLlama3);
  out.kind = RopeScaling::Kind::llama3;
  out.low_freq_factor = required("low_freq_factor");
  out.high_freq_factor = required("high_freq_factor");
  if (out.high_freq_factor <= out.low_freq_factor)
    rope.refuse("high_freq_factor",
                fmt::format("more than low_freq_factor, which is {}", out.low_freq_factor));
  out.original_max_position =
      rope.required_integer("original_max_position_embeddings", 1, kMaxPosition);
  return out;
}

/// RoPE lives in `rope_theta` and `rope_scaling`, or since transformers 5 in `rope_parameters`.
void read_rope(const JsonFields& fields, const std::string& file, ModelConfig& config) {
  const json* older = fields.find("rope_scaling");
  const json* newer = fields.find("rope_parameters");
  if (older != nullptr && newer != nullptr)
    fields.refuse("rope_scaling", "null beside rope_parameters");
  const char* name = newer != nullptr ? "rope_parameters" : "rope_scaling";
  const json* object = newer != nullptr ? newer : older;
  auto theta = fields.number("rope_theta", positive, "a positive number");
  if (object != nullptr) {
    if (!object->is_object()) fields.refuse(name, "null or an object");
    const JsonFields rope(*object, fmt::format("{}: {}", file, name));
    config.rope_scaling = read_rope_scaling(*object, rope);
    const auto inner = rope.number("rope_theta", positive, "a positive number");
    if (inner && theta && *inner != *theta)
      rope.refuse("rope_theta", fmt::format("the outer rope_theta, {}", *theta));
    if (inner) theta = inner;
  }
  config.rope_theta = theta.value_or(10000.0f);
}

std::optional<u32> read_window(const JsonFields& fields, const ModelConfig& config) {
  const auto window = [&fields] {
    const bool absent = !fields.present("sliding_window");
    const auto value = fields.integer("sliding_window", 1, ~0u);
    return absent ? std::optional<u32>(4096) : value;
  };
  if (config.model_type == "mistral") return window();
  if (config.model_type == "llama" || !fields.boolean("use_sliding_window").value_or(false))
    return std::nullopt;
  // Layers from max_window_layers on look through the window, those before it see everything.
  const u32 first = fields.integer("max_window_layers", 0, ~0u).value_or(28);
  if (first >= config.layers) return std::nullopt;
  if (first != 0)
    fields.refuse("max_window_layers",
                  fmt::format("0 or at least num_hidden_layers ({}) with use_sliding_window: the "
                              "window must be the same in all layers",
                              config.layers));
  return window();
}

/// Newer files also spell the window out per layer; it must say what the other fields say.
void check_layer_types(const JsonFields& fields, const ModelConfig& config) {
  const json* types = fields.find("layer_types");
  if (types == nullptr) return;
  const char* expected = config.sliding_window ? "sliding_attention" : "full_attention";
  const bool agrees = types->is_array() && types->size() == config.layers &&
                      std::all_of(types->begin(), types->end(),
                                  [expected](const json& type) { return type == expected; });
  if (!agrees)
    fields.refuse("layer_types",
                  fmt::format("\"{}\" for each of the {} layers", expected, config.layers));
}

} // namespace

ModelConfig load_model_config(const std::filesystem::path& model_dir) {
  return parse_model_config(read_private_file(model_dir / "config.json"));
}

ModelConfig parse_model_config(const PrivateFile& file) {
  const std::string path = file.path.string();
  const json object = parse_json_object(file.text, path);
  const JsonFields fields(object, path);
  const Family& family = family_of(fields);
  check_architecture(fields, family);
  refuse_what_is_not_computed(fields, family);

  ModelConfig config;
  config.model_type = family.model_type;
  read_dimensions(fields, family, config);
  config.rms_eps =
      fields
          .number(
              "rms_norm_eps", [](float x) { return x > 0 && x < 1; }, "a number between 0 and 1")
          .value_or(1e-6f);
  read_rope(fields, path, config);
  config.sliding_window = read_window(fields, config);
  check_layer_types(fields, config);
  config.tied_embeddings = fields.boolean("tie_word_embeddings").value_or(false);
  const bool attention_bias = fields.boolean("attention_bias").value_or(false);
  config.qkv_bias = family.qkv_bias || attention_bias;
  config.o_bias = attention_bias;
  config.mlp_bias = fields.boolean("mlp_bias").value_or(false);
  config.qk_norm = family.qk_norm;
  if (const auto bos = fields.ids("bos_token_id", config.vocab); !bos.empty())
    config.bos = bos.front();
  config.eos = fields.ids("eos_token_id", config.vocab);
  return config;
}

} // namespace talaria::model
