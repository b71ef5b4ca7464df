#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/integers.hpp"

namespace talaria::model {

/// How RoPE frequencies are stretched (`rope_scaling` of config.json).
struct RopeScaling {
  enum class Kind { none, linear, llama3 };
  Kind kind = Kind::none;
  float factor = 1;
  float low_freq_factor = 1;
  float high_freq_factor = 4;
  u32 original_max_position = 0;
};

/// What config.json says of a decoder of the Llama, Mistral, Qwen2 or Qwen3 family; every field
/// validated, defaults as Hugging Face transformers takes them.
struct ModelConfig {
  std::string model_type; ///< llama, mistral, qwen2 or qwen3
  u32 hidden = 0;
  u32 intermediate = 0;
  u32 layers = 0;
  u32 heads = 0;
  u32 kv_heads = 0; ///< divides heads
  u32 head_dim = 0; ///< even; heads * head_dim need not equal hidden
  u32 vocab = 0;
  u32 max_position = 0;
  float rms_eps = 0;
  float rope_theta = 0;
  RopeScaling rope_scaling;
  std::optional<u32> sliding_window; ///< W: a query sees itself and the W-1 positions before it
  bool tied_embeddings = false;      ///< lm_head is the embedding matrix
  bool qkv_bias = false;
  bool o_bias = false;
  bool mlp_bias = false;
  bool qk_norm = false;
  std::optional<u32> bos;
  std::vector<u32> eos;

  u32 q_dim() const { return heads * head_dim; }
  u32 kv_dim() const { return kv_heads * head_dim; }
  /// head_dim / 2 angular frequencies in radians per position, fp32, computed as transformers does
  /// (1 / theta^(2i / head_dim) with fp32 rounding at each step, then the scaling rule).
  std::vector<float> rope_frequencies() const;
};

struct PrivateFile;

/// What a config.json says.
/// @throws Error{model} naming file and field for an unknown architecture, a missing or
/// out-of-range field, or a feature this program does not compute (so that it can never compute
/// something else).
ModelConfig parse_model_config(const PrivateFile& file);

/// The same for MODEL_DIR/config.json.
ModelConfig load_model_config(const std::filesystem::path& model_dir);

} // namespace talaria::model
