#pragma once

#include <optional>
#include <string>
#include <vector>

#include "arch/model_plan.hpp"
#include "arch/rope.hpp"

namespace talaria::arch {

/// What the common decoder (Llama and its relatives) is described by; the beginning of every
/// family's plan.
struct DecoderConfig {
  std::string model_type = "llama";
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
  float partial_rotary = 1;          ///< share of a head that turns
  std::optional<u32> sliding_window; ///< of all layers; W: a query sees itself and W-1 before it
  bool tied_embeddings = false;
  bool qkv_bias = false;
  bool o_bias = false;
  bool mlp_bias = false;
  bool qk_norm = false; ///< over each head
  std::optional<u32> bos;
  std::vector<u32> eos;

  /// int(partial_rotary head_dim), as transformers has it; with proportional RoPE all of the head.
  u32 rotated() const {
    if (rope_scaling.kind == RopeScaling::Kind::proportional) return head_dim;
    return static_cast<u32>(static_cast<float>(head_dim) * partial_rotary);
  }
  TensorNames names() const;
};

/// Everything but the matrices, which a family adds when its layers are complete. One rope table,
/// which all layers use; norms before attention and feed-forward; scale 1 / sqrt(head_dim).
ModelPlan plan_layers(const DecoderConfig& config, const std::string& root = "model.");

/// The whole plan of a decoder that has no peculiarities.
ModelPlan plan_decoder(const DecoderConfig& config);

} // namespace talaria::arch
