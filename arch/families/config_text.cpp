#include "arch/families/config_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include "core/error.hpp"

namespace talaria::arch {

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

// Ends of the names of transformers' classes.
constexpr std::string_view kGenerates = "ForCausalLM";
constexpr std::string_view kClassifies = "ForSequenceClassification";
constexpr std::string_view kBare = "Model";

const json& decoder_object(const json& outer, const std::string& file) {
  const auto text = outer.find("text_config");
  if (text == outer.end() || text->is_null()) return outer;
  if (!text->is_object())
    throw Error(Errc::model, fmt::format("{}: text_config is not an object", file));
  return *text;
}

/// The kind of a RoPE object; older files say "type", newer ones "rope_type", some say both.
std::string rope_kind(const JsonFields& rope) {
  const auto newer = rope.text("rope_type");
  const auto older = rope.text("type");
  if (newer && older && *newer != *older)
    rope.refuse("type", fmt::format("the same as rope_type, \"{}\"", printable(*newer)));
  return newer ? *newer : older.value_or("default");
}

using Known = std::span<const char* const>;
constexpr const char* kPlain[] = {"factor"};
// transformers 5 writes the second one, and computes with max_position_embeddings.
constexpr const char* kDynamic[] = {"factor", "original_max_position_embeddings"};
constexpr const char* kMrope[] = {"mrope_section", "mrope_interleaved"};
constexpr const char* kLlama3[] = {"factor", "low_freq_factor", "high_freq_factor",
                                   "original_max_position_embeddings"};
constexpr const char* kYarn[] = {"factor",
                                 "beta_fast",
                                 "beta_slow",
                                 "mscale",
                                 "mscale_all_dim",
                                 "attention_factor",
                                 "truncate",
                                 "original_max_position_embeddings",
                                 "llama_4_scaling_beta",
                                 "finetuned"}; // says how the model was trained
constexpr const char* kLongrope[] = {"factor",
                                     "short_factor",
                                     "long_factor",
                                     "attention_factor",
                                     "original_max_position_embeddings",
                                     "short_mscale",
                                     "long_mscale"};

void refuse_unknown_rope_fields(const json& object, const JsonFields& rope, Known known,
                                Known ignored) {
  // Olmo 3 and Ministral 3 also repeat numbers here that have no meaning for RoPE.
  constexpr const char* kAlways[] = {"rope_type", "type", "rope_theta", "partial_rotary_factor",
                                     "max_position_embeddings"};
  const auto among = [](Known names, const std::string& key) {
    return std::find(names.begin(), names.end(), key) != names.end();
  };
  for (const auto& [key, value] : object.items()) {
    if (value.is_null() || among(known, key) || among(kAlways, key) || among(ignored, key))
      continue;
    std::string list = "rope_type, type, rope_theta";
    for (const char* name : known) list += std::string(", ") + name;
    rope.refuse(key.c_str(), "only these fields: " + list);
  }
}

/// Reads the object of one kind of scaling.
class ScalingReader {
public:
  ScalingReader(const json& object, const JsonFields& rope, u32 max_position,
                std::optional<u32> outer_original, const Defaults& defaults)
      : object_(object), rope_(rope), max_position_(max_position),
        ignored_(defaults.mrope ? Known(kMrope) : Known()), proportional_(defaults.proportional) {
    const u32 inner =
        rope.integer("original_max_position_embeddings", 1, kMaxPosition).value_or(max_position);
    original_ = outer_original.value_or(inner);
  }

  RopeScaling read() {
    const std::string kind = rope_kind(rope_);
    if (kind == "default") return plain(RopeScaling::Kind::none, kPlain);
    if (kind == "linear") return plain(RopeScaling::Kind::linear, kPlain);
    if (kind == "dynamic") {
      RopeScaling out = plain(RopeScaling::Kind::dynamic, kDynamic);
      out.original_max_position = max_position_;
      return out;
    }
    if (kind == "proportional" && proportional_) return proportional();
    if (kind == "llama3") return llama3();
    // Older Phi-3 files call longrope "su", one calls it "yarn".
    if (kind == "longrope" || kind == "su" || rope_.present("short_factor")) return longrope();
    if (kind == "yarn") return yarn();
    rope_.refuse(rope_.present("rope_type") ? "rope_type" : "type",
                 "\"default\", \"linear\", \"dynamic\", \"yarn\", \"longrope\" or \"llama3\"");
  }

private:
  float required(const char* name) const {
    const auto value = rope_.number(name, positive, "a positive number");
    if (!value) rope_.refuse(name, "a positive number");
    return *value;
  }
  float optional(const char* name, float otherwise) const {
    return rope_.number(name, positive, "a positive number").value_or(otherwise);
  }

  RopeScaling plain(RopeScaling::Kind kind, Known known) const {
    RopeScaling out;
    out.kind = kind;
    refuse_unknown_rope_fields(object_, rope_, known, ignored_);
    if (kind != RopeScaling::Kind::none) out.factor = required("factor");
    return out;
  }

  /// The share of pairs that turn is partial_rotary_factor, which is read with it.
  RopeScaling proportional() const {
    RopeScaling out;
    refuse_unknown_rope_fields(object_, rope_, kPlain, ignored_);
    out.kind = RopeScaling::Kind::proportional;
    out.factor = optional("factor", 1);
    return out;
  }

  RopeScaling llama3() const {
    RopeScaling out;
    out.factor = required("factor");
    refuse_unknown_rope_fields(object_, rope_, kLlama3, ignored_);
    out.kind = RopeScaling::Kind::llama3;
    out.low_freq_factor = required("low_freq_factor");
    out.high_freq_factor = required("high_freq_factor");
    if (out.high_freq_factor <= out.low_freq_factor)
      rope_.refuse("high_freq_factor",
                   fmt::format("more than low_freq_factor, which is {}", out.low_freq_factor));
    out.original_max_position =
        rope_.required_integer("original_max_position_embeddings", 1, kMaxPosition);
    return out;
  }

  RopeScaling yarn() const {
    refuse_unknown_rope_fields(object_, rope_, kYarn, ignored_);
    RopeScaling out;
    out.kind = RopeScaling::Kind::yarn;
    out.original_max_position = original_;
    out.factor =
        optional("factor", static_cast<float>(max_position_) / static_cast<float>(original_));
    out.beta_fast = optional("beta_fast", 32);
    out.beta_slow = optional("beta_slow", 1);
    if (out.beta_fast < out.beta_slow)
      rope_.refuse("beta_fast", fmt::format("at least beta_slow, which is {}", out.beta_slow));
    out.truncate = rope_.boolean("truncate").value_or(true);
    const auto factor = [this](const char* name) {
      return rope_.number(
          name, [](float x) { return std::isfinite(x) && x >= 0; }, "a number, not negative");
    };
    out.mscale = factor("mscale").value_or(0);
    out.mscale_all_dim = factor("mscale_all_dim").value_or(0);
    out.attention_factor = rope_.number("attention_factor", positive, "a positive number");
    return out;
  }

  std::vector<float> factors(const char* name) const {
    const json* list = rope_.find(name);
    if (list == nullptr || !list->is_array() || list->empty() || list->size() > kMaxHeadDim)
      rope_.refuse(name, "a list of positive numbers, one for each pair of turned dimensions");
    std::vector<float> out;
    for (const json& value : *list) {
      if (!value.is_number() || !positive(value.get<float>()))
        rope_.refuse(name, "a list of positive numbers, one for each pair of turned dimensions");
      out.push_back(value.get<float>());
    }
    return out;
  }

  RopeScaling longrope() const {
    refuse_unknown_rope_fields(object_, rope_, kLongrope, ignored_);
    RopeScaling out;
    out.kind = RopeScaling::Kind::longrope;
    out.original_max_position = original_;
    out.factor =
        optional("factor", static_cast<float>(max_position_) / static_cast<float>(original_));
    out.attention_factor = rope_.number("attention_factor", positive, "a positive number");
    out.short_factor = factors("short_factor");
    out.long_factor = factors("long_factor");
    return out;
  }

  const json& object_;
  const JsonFields& rope_;
  u32 max_position_;
  u32 original_ = 0;
  Known ignored_; ///< fields that mean nothing here
  bool proportional_;
};

bool is_mxfp4(const json& quantised) {
  return quantised.is_object() && quantised.value("quant_method", json()) == "mxfp4";
}

} // namespace

bool positive(float x) {
  return std::isfinite(x) && x > 0;
}

ConfigText::ConfigText(const json& object, std::string file)
    : outer_(&object), text_(&decoder_object(object, file)), file_(std::move(file)),
      where_(nested() ? file_ + ": text_config" : file_), outer_fields_(object, file_),
      fields_(*text_, where_) {}

std::string ConfigText::model_type() const {
  return fields_.text("model_type").value_or("");
}

void ConfigText::check_architecture(std::initializer_list<const char*> names) const {
  const json* found = outer_fields_.find("architectures");
  if (found == nullptr) return;
  for (const std::string_view name : names) {
    if (*found == json::array({name})) return;
    if (!name.ends_with(kGenerates)) continue;
    const std::string stem(name.substr(0, name.size() - kGenerates.size()));
    for (const std::string_view behind : {kBare, kClassifies})
      if (*found == json::array({stem + std::string(behind)})) return;
  }
  outer_fields_.refuse("architectures",
                       fmt::format("[\"{}\"] with model_type {}", *names.begin(), model_type()));
}

Head ConfigText::head() const {
  const json* found = outer_fields_.find("architectures");
  if (found == nullptr || !found->is_array() || found->size() != 1 || !found->front().is_string())
    return Head::tokens; // check_architecture has said what is wrong with it
  const auto& name = found->front().get_ref<const std::string&>();
  if (name.ends_with(kBare)) return Head::none;
  if (!name.ends_with(kClassifies)) return Head::tokens;
  const json* names = outer_fields_.find("id2label");
  const u32 by_names = names != nullptr && names->is_object() ? static_cast<u32>(names->size()) : 2;
  if (outer_fields_.integer("num_labels", 1, kMaxWidth).value_or(by_names) != 1)
    outer_fields_.refuse(names != nullptr ? "id2label" : "num_labels",
                         "one label: classifiers among several are not served");
  return Head::label;
}

void ConfigText::refuse_what_is_not_computed(const Defaults& defaults,
                                             const std::string& type) const {
  for (const JsonFields* fields : {&fields_, &outer_fields_}) {
    const json* quantised = fields->find("quantization_config");
    if (quantised == nullptr || (defaults.mxfp4 && is_mxfp4(*quantised))) continue;
    fields->refuse("quantization_config", defaults.mxfp4
                                              ? "quant_method mxfp4, or no such field"
                                              : "bf16, f16 or f32 weights, without this field");
  }
  for (const char* name : {"num_experts", "num_local_experts", "n_routed_experts"})
    if (!defaults.experts && fields_.integer(name, 0, kMaxWidth).value_or(0) != 0)
      fields_.refuse(name, "a dense model, without this field");
  if (!fields_.boolean("is_causal").value_or(true))
    fields_.refuse("is_causal", "true: no row sees those behind it");
  if (!defaults.partial_rotary &&
      fields_.number("partial_rotary_factor", positive, "1").value_or(1) != 1)
    fields_.refuse("partial_rotary_factor", "1: RoPE over the whole head");
  std::string activation = fields_.text(defaults.activation_key).value_or(defaults.activation);
  if (activation == "swish") activation = "silu"; // transformers' other name of it
  if (activation != defaults.activation)
    fields_.refuse(defaults.activation_key, fmt::format("\"{}\"", defaults.activation));
  if (!defaults.attention_bias && fields_.boolean("attention_bias").value_or(false))
    fields_.refuse("attention_bias", fmt::format("false with model_type {}", type));
  if (!defaults.mlp_bias && fields_.boolean("mlp_bias").value_or(false))
    fields_.refuse("mlp_bias", fmt::format("false with model_type {}", type));
}

void ConfigText::read_dimensions(const Defaults& defaults, DecoderConfig& config) const {
  const auto dimension = [this](const char* name, u32 most, u32 usual) {
    const bool said = !nested() || usual == 0 || fields_.present(name);
    return said ? fields_.required_integer(name, 1, most) : usual;
  };
  const UsualDimensions& usual = defaults.dimensions;
  config.hidden = dimension("hidden_size", kMaxWidth, usual.hidden);
  config.intermediate = dimension("intermediate_size", kMaxWidth, usual.intermediate);
  config.layers = dimension("num_hidden_layers", kMaxLayers, usual.layers);
  config.heads = dimension("num_attention_heads", kMaxHeads, usual.heads);
  config.vocab = dimension("vocab_size", kMaxVocab, usual.vocab);
  config.max_position =
      fields_.integer("max_position_embeddings", 1, kMaxPosition).value_or(defaults.max_position);

  const bool kv_default = !fields_.present("num_key_value_heads") && defaults.kv_heads != 0;
  config.kv_heads = fields_.integer("num_key_value_heads", 1, kMaxHeads)
                        .value_or(kv_default ? defaults.kv_heads : config.heads);
  if (config.heads % config.kv_heads != 0)
    fields_.refuse("num_key_value_heads",
                   fmt::format("a divisor of num_attention_heads, which is {}", config.heads));

  const char* const key = defaults.head_dim_key;
  if (const auto head_dim = fields_.integer(key, 2, kMaxHeadDim)) {
    config.head_dim = *head_dim;
  } else if (!fields_.present(key) && defaults.head_dim != 0) {
    config.head_dim = defaults.head_dim;
  } else {
    if (config.hidden % config.heads != 0)
      fields_.refuse(key, fmt::format("a value, because hidden_size {} is no multiple of "
                                      "num_attention_heads {}",
                                      config.hidden, config.heads));
    config.head_dim = config.hidden / config.heads;
  }
  if (config.head_dim % 2 != 0 || config.head_dim > kMaxHeadDim)
    fields_.refuse(key,
                   fmt::format("an even number up to {}, not {}", kMaxHeadDim, config.head_dim));
}

ConfigText::RopeText ConfigText::rope(const Defaults& defaults, const char* layer_type,
                                      u32 max_position) const {
  const json* older = fields_.find("rope_scaling");
  const json* newer = fields_.find("rope_parameters");
  if (older != nullptr && newer != nullptr && *older != *newer)
    fields_.refuse("rope_scaling", "null beside rope_parameters, or the same");
  const char* name = newer != nullptr ? "rope_parameters" : "rope_scaling";
  const json* object = newer != nullptr ? newer : older;
  const auto share = [](const JsonFields& fields) {
    return fields.number(
        "partial_rotary_factor", [](float x) { return x > 0 && x <= 1; },
        "a number above 0, up to 1");
  };
  RopeText out;
  auto theta = fields_.number("rope_theta", positive, "a positive number");
  auto partial = share(fields_);
  if (object != nullptr) {
    if (!object->is_object()) fields_.refuse(name, "null or an object");
    std::string where = fmt::format("{}: {}", where_, name);
    if (layer_type != nullptr && object->contains(layer_type)) {
      const JsonFields types(*object, where);
      object = &(*object)[layer_type];
      if (!object->is_object()) types.refuse(layer_type, "an object");
      where += fmt::format(": {}", layer_type);
      out.of_this_type = true;
    }
    const JsonFields rope(*object, where);
    const auto outer_original =
        fields_.integer("original_max_position_embeddings", 1, kMaxPosition);
    out.scaling = ScalingReader(*object, rope, max_position, outer_original, defaults).read();
    const auto inner = rope.number("rope_theta", positive, "a positive number");
    if (inner && theta && *inner != *theta)
      rope.refuse("rope_theta", fmt::format("the outer rope_theta, {}", *theta));
    if (inner) theta = inner;
    const auto inner_share = share(rope);
    if (inner_share && !defaults.partial_rotary && *inner_share != 1)
      rope.refuse("partial_rotary_factor", "1: RoPE over the whole head");
    if (inner_share) partial = inner_share;
  }
  out.theta = theta.value_or(defaults.rope_theta);
  out.partial_rotary = partial.value_or(defaults.rotary_share);
  out.scaling.turning = out.partial_rotary;
  return out;
}

std::optional<u32> ConfigText::window(std::optional<u32> otherwise) const {
  if (!fields_.present("sliding_window")) return otherwise;
  return fields_.integer("sliding_window", 1, ~0u);
}

std::vector<bool> ConfigText::sliding_layers(u32 layers, bool (*rule)(u32, u32),
                                             u32 pattern) const {
  const auto types = layer_types(layers, {"full_attention", "sliding_attention"});
  std::vector<bool> out(layers);
  for (u32 l = 0; l < layers; ++l)
    out[l] = types.empty() ? rule(l, pattern) : types[l] == "sliding_attention";
  return out;
}

std::vector<std::string> ConfigText::layer_types(u32 layers,
                                                 std::initializer_list<const char*> words) const {
  const json* types = fields_.find("layer_types");
  if (types == nullptr) return {};
  std::string expected;
  for (const char* word : words)
    expected += fmt::format("{}\"{}\"", expected.empty() ? "" : " or ", word);
  expected += fmt::format(" for each of the {} layers", layers);
  if (!types->is_array() || types->size() != layers) fields_.refuse("layer_types", expected);
  std::vector<std::string> out;
  for (const json& type : *types) {
    if (std::none_of(words.begin(), words.end(), [&](const char* word) { return type == word; }))
      fields_.refuse("layer_types", expected);
    out.push_back(type.get<std::string>());
  }
  return out;
}

void ConfigText::require_layer_types(const DecoderConfig& config) const {
  const json* types = fields_.find("layer_types");
  if (types == nullptr) return;
  const char* expected = config.sliding_window ? "sliding_attention" : "full_attention";
  const bool agrees = types->is_array() && types->size() == config.layers &&
                      std::all_of(types->begin(), types->end(),
                                  [expected](const json& type) { return type == expected; });
  if (!agrees)
    fields_.refuse("layer_types",
                   fmt::format("\"{}\" for each of the {} layers", expected, config.layers));
}

void ConfigText::refuse_windows() const {
  if (fields_.boolean("use_sliding_window").value_or(false))
    fields_.refuse("use_sliding_window",
                   fmt::format("false: windows of {} are not computed", model_type()));
}

float ConfigText::query_beta() const {
  const json* object = fields_.find("rope_parameters");
  if (object == nullptr || !object->is_object()) return 0;
  return JsonFields(*object, where_ + ": rope_parameters")
      .number("llama_4_scaling_beta", positive, "a positive number")
      .value_or(0);
}

void ConfigText::read_rope(const Defaults& defaults, DecoderConfig& config) const {
  const RopeText rope_text = rope(defaults, "full_attention", config.max_position);
  config.rope_theta = rope_text.theta;
  config.rope_scaling = rope_text.scaling;
  config.partial_rotary = rope_text.partial_rotary;
  if (config.rotated() == 0 || config.rotated() % 2 != 0)
    fields_.refuse("partial_rotary_factor",
                   fmt::format("a share of the {} dimensions of a head that is an even number",
                               config.head_dim));
  const RopeScaling& scaling = config.rope_scaling;
  if (scaling.kind == RopeScaling::Kind::longrope &&
      (scaling.short_factor.size() != config.rotated() / 2 ||
       scaling.long_factor.size() != config.rotated() / 2))
    throw Error(Errc::model,
                fmt::format("{}: rope_scaling: short_factor and long_factor have {} and "
                            "{} numbers; expected {}, half of the turned dimensions",
                            where_, scaling.short_factor.size(), scaling.long_factor.size(),
                            config.rotated() / 2));
  if (scaling.kind == RopeScaling::Kind::dynamic) {
    if (config.rotated() == 2)
      throw Error(Errc::model, fmt::format("{}: rope_scaling: dynamic needs more than one pair of "
                                           "turned dimensions",
                                           where_));
    const double longest = double{scaling.factor} * config.max_position;
    config.max_position = static_cast<u32>(std::min(longest, double{kMaxPosition}));
  }
}

DecoderConfig ConfigText::decoder(const Defaults& defaults) const {
  DecoderConfig config;
  config.model_type = model_type();
  refuse_what_is_not_computed(defaults, config.model_type);
  read_dimensions(defaults, config);
  config.rms_eps =
      fields_
          .number(
              "rms_norm_eps", [](float x) { return x > 0 && x < 1; }, "a number between 0 and 1")
          .value_or(defaults.rms_eps);
  if (!defaults.ropes_by_type) read_rope(defaults, config);
  // A checkpoint that also sees says at the outer level whether the head is the embedding.
  config.tied_embeddings =
      outer_fields_.boolean("tie_word_embeddings")
          .value_or(fields_.boolean("tie_word_embeddings").value_or(defaults.tied_embeddings));
  const bool attention_bias = fields_.boolean("attention_bias").value_or(defaults.biased);
  config.qkv_bias = attention_bias;
  config.o_bias = attention_bias;
  config.mlp_bias = fields_.boolean("mlp_bias").value_or(false);
  for (const JsonFields* fields : {&fields_, &outer_fields_}) {
    if (const auto bos = fields->ids("bos_token_id", config.vocab); !bos.empty() && !config.bos)
      config.bos = bos.front();
    if (config.eos.empty()) config.eos = fields->ids("eos_token_id", config.vocab);
  }
  return config;
}

} // namespace talaria::arch
