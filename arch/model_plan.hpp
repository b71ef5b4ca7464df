#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "arch/linear_table.hpp"
#include "core/integers.hpp"

namespace talaria::arch {

/// An RMSNorm, x / sqrt(mean x^2 + eps) times its gain.
struct Norm {
  std::string tensor; ///< of the gain
  float eps = 0;
  bool plus_one = false; ///< the gain is 1 + what the tensor holds
};

/// How queries and keys are turned by their position.
struct Rope {
  std::string name;               ///< for the printed plan
  std::vector<float> frequencies; ///< of the pairs that turn, radians per position; the first
                                  ///< 2 * size() values of a head are turned, the others stay
  float magnitude = 1;            ///< times cos and sin
  bool neighbours = false;        ///< pairs are 2i, 2i+1; otherwise i, i + size()

  /// Where another set of frequencies holds for sequences longer than the model was trained for
  /// (longrope): that length and the set. 0: there is none.
  u32 original_length = 0;
  std::vector<float> long_frequencies;
  /// Where theta grows with the length of a sequence beyond this one (dynamic). 0: nowhere.
  u32 dynamic_length = 0;
  float dynamic_factor = 1;
  float theta = 0;

  /// Whether the frequencies depend on the length of a sequence.
  bool by_length() const { return original_length != 0 || dynamic_length != 0; }
  /// The frequencies in a sequence of `length` tokens.
  std::vector<float> frequencies_at(u32 length) const;
};

/// What the q/k norm runs over.
enum class HeadNorm : u8 { none, per_head, all_heads };

struct Attention {
  u32 heads = 0;
  u32 kv_heads = 0;        ///< divides heads
  u32 head_dim = 0;        ///< even; heads * head_dim need not equal hidden
  u32 window = 0;          ///< a query sees itself and the window - 1 positions before it; 0: all
  std::optional<u32> rope; ///< index in ModelPlan::ropes; none: positions do not turn anything
  HeadNorm head_norm = HeadNorm::none;
  Norm q_norm, k_norm; ///< with a head norm: gains [head_dim], or [heads * head_dim] (all heads)
  float scale = 0;     ///< of scores
  float soft_cap = 0;  ///< c: scores become c tanh(score / c); 0: they stay
  /// Queries times 1 + query_beta ln(1 + floor(position / query_length)); beta 0: they stay.
  float query_beta = 0;
  u32 query_length = 0;

  u32 q_dim() const { return heads * head_dim; }
  u32 kv_dim() const { return kv_heads * head_dim; }
};

enum class Activation : u8 { silu, gelu_tanh };

/// down(activation(gate x) * up x)
struct FeedForward {
  u32 intermediate = 0;
  Activation activation = Activation::silu;
};

/// A layer:
///   h += multiplier * attention_out_norm(o(attention(qkv(attention_norm(h)))))
///   h += multiplier * feed_forward_out_norm(down(...(feed_forward_norm(h))))
/// Norms that are not there are left out. Those before a block are folded into its matrix (see
/// Linear::gain); the multiplier is part of o and down.
struct Layer {
  std::string prefix; ///< of its tensors, "model.layers.3."
  std::optional<Norm> attention_norm;
  Attention attention;
  std::optional<Norm> attention_out_norm;
  std::optional<Norm> feed_forward_norm;
  FeedForward feed_forward;
  std::optional<Norm> feed_forward_out_norm;
  float multiplier = 1;
};

/// What a decoder computes, from tokens to logits, with every value that its config.json decides.
/// Loader, prepared folders, synthetic models, placement, worker, stages, audit and `inspect
/// --plan` read nothing else of the model's architecture.
struct ModelPlan {
  std::string model_type;
  u32 hidden = 0;
  u32 vocab = 0;
  u32 max_position = 0;
  std::string embedding; ///< tensor [vocab, hidden]
  float embedding_multiplier = 1;
  bool tied_embeddings = false; ///< the head is the embedding matrix
  std::vector<Rope> ropes;
  std::vector<Layer> layers;
  Norm final_norm;
  float logit_soft_cap = 0; ///< c: logits become c tanh(logit / c); 0: they stay
  LinearTable linears;
  std::optional<u32> bos;
  std::vector<u32> eos;

  u32 layer_count() const { return static_cast<u32>(layers.size()); }
};

/// Names of tensors that differ among families.
struct TensorNames {
  std::string root = "model.";  ///< before "embed_tokens", "layers.N." and "norm"
  std::string head = "lm_head"; ///< base of the head's tensor
  bool fused_qkv = false;       ///< self_attn.qkv_proj instead of q_proj, k_proj, v_proj
  bool fused_gate_up = false;   ///< mlp.gate_up_proj instead of gate_proj, up_proj
  bool qkv_bias = false;
  bool o_bias = false;
  bool mlp_bias = false;
  float logit_multiplier = 1;
};

/// The matrices of `plan`, whose layers are complete.
LinearTable linear_table(const ModelPlan& plan, const TensorNames& names);

/// The plan for people, in forward order: one line per step, layers that are the same as one.
std::string plan_text(const ModelPlan& plan);

/// What a config.json says.
/// @throws Error{model} naming file and field for an unknown architecture, a missing or
/// out-of-range field, or a feature this program does not compute (so that it can never compute
/// something else).
ModelPlan parse_model_plan(const std::string& text, const std::string& file);

/// The model types that parse_model_plan knows, separated by commas.
std::string known_model_types();

} // namespace talaria::arch
