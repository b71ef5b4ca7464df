#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "arch/decoder_config.hpp"
#include "arch/json_fields.hpp"

namespace talaria::arch {

/// Dimensions of a configuration class; 0: the file has to say it. Only inner objects
/// (`text_config`) leave out what is as their class has it.
struct UsualDimensions {
  u32 hidden = 0;
  u32 intermediate = 0;
  u32 layers = 0;
  u32 heads = 0;
  u32 vocab = 0;
};

/// Defaults of a family in transformers, for keys that are absent.
struct Defaults {
  UsualDimensions dimensions;
  u32 kv_heads = 0; ///< 0: as many as heads
  u32 head_dim = 0; ///< 0: hidden / heads
  u32 max_position = 2048;
  float rope_theta = 10000;
  float rms_eps = 1e-6F;
  bool tied_embeddings = false;
  bool attention_bias = false; ///< the field exists
  bool biased = false;         ///< attention_bias where the file does not say
  bool mlp_bias = false;       ///< the field exists
  bool partial_rotary = false; ///< the field exists
  bool experts = false;        ///< a mixture of experts
  bool mxfp4 = false;          ///< whose matrices may be in MXFP4
  bool mrope = false;          ///< sections of RoPE for pictures, which make no difference for text
  float rotary_share = 1;      ///< partial_rotary_factor
  bool proportional = false;   ///< rope_type may be "proportional"
  bool ropes_by_type = false;  ///< the family reads them, by the type and head length of a layer
  const char* head_dim_key = "head_dim";
  const char* activation_key = "hidden_act";
  const char* activation = "silu"; ///< the one that is computed
};

/// A config.json while a family function reads it. In checkpoints that also see or hear, the
/// decoder is described by the inner object `text_config`.
class ConfigText {
public:
  /// Borrows `object`. @throws Error{model} if text_config is there and no object.
  ConfigText(const nlohmann::json& object, std::string file);

  const JsonFields& fields() const { return fields_; } ///< of the decoder
  const nlohmann::json& object() const { return *text_; }
  bool nested() const { return text_ != outer_; }
  const std::string& where() const { return where_; }
  /// The decoder's model_type; @throws Error{model} if there is none.
  std::string model_type() const;

  /// @throws Error{model} if `architectures` names something else than these.
  /// With "XForCausalLM" go "XModel", the same without a head, and "XForSequenceClassification".
  void check_architecture(std::initializer_list<const char*> names) const;
  /// What `architectures` says stands behind the layers.
  /// @throws Error{model} for a classifier that has not one label but several.
  Head head() const;
  /// Dimensions, norms, RoPE, biases, special tokens: what all decoders have.
  DecoderConfig decoder(const Defaults& defaults) const;
  /// The RoPE of layers of this type (`rope_parameters` may have one for each) and its theta.
  struct RopeText {
    float theta = 10000;
    float partial_rotary = 1;
    RopeScaling scaling;
    bool of_this_type = false; ///< there is an entry for this very layer type
  };
  RopeText rope(const Defaults& defaults, const char* layer_type, u32 max_position) const;
  /// The window of `sliding_window`: null is none, and so is absent without a default.
  std::optional<u32> window(std::optional<u32> otherwise = {}) const;
  /// For each layer whether it slides: `layer_types`, or if absent `rule(layer)`.
  /// @throws Error{model} if the list has another length or other words.
  std::vector<bool> sliding_layers(u32 layers, bool (*rule)(u32 layer, u32 pattern),
                                   u32 pattern) const;

  /// `layer_types`, each of which must be one of `words`; empty if absent.
  /// @throws Error{model} if the list has another length or other words.
  std::vector<std::string> layer_types(u32 layers, std::initializer_list<const char*> words) const;

  /// That `layer_types`, if it is there, says what the other fields say: all layers slide, or none.
  void require_layer_types(const DecoderConfig& config) const;
  /// @throws Error{model} if `use_sliding_window` asks for windows.
  void refuse_windows() const;
  /// `llama_4_scaling_beta` of rope_parameters; 0 if absent.
  float query_beta() const;

private:
  void read_dimensions(const Defaults& defaults, DecoderConfig& config) const;
  void read_rope(const Defaults& defaults, DecoderConfig& config) const;
  void refuse_what_is_not_computed(const Defaults& defaults, const std::string& type) const;

  const nlohmann::json* outer_;
  const nlohmann::json* text_;
  std::string file_;
  std::string where_;
  JsonFields outer_fields_;
  JsonFields fields_;
};

/// True for numbers above 0.
bool positive(float x);

} // namespace talaria::arch
