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

/// Latent attention (MLA of DeepSeek): queries, keys and values are made of a few numbers per row.
/// qkv(x) holds the query's numbers (or, with query_rank 0, the queries of all heads), those of
/// keys and values, and one part of a key that turns, for all heads. Normed, the former go through
/// the matrix `heads`. Behind it this is plain attention: each head of q and k has first what
/// turns.
struct Latent {
  u32 query_rank = 0; ///< numbers that queries are made of; 0: they are not
  u32 kv_rank = 0;
  u32 turned = 0; ///< dimensions of a head of q and k that turn; even
  Norm query_norm, kv_norm;
};

struct Attention {
  u32 heads = 0;
  u32 kv_heads = 0;        ///< divides heads
  u32 head_dim = 0;        ///< even; heads * head_dim need not equal hidden
  u32 value_dim = 0;       ///< of a head of values, and of what comes out; 0: head_dim
  u32 window = 0;          ///< a query sees itself and the window - 1 positions before it; 0: all
  std::optional<u32> rope; ///< index in ModelPlan::ropes; none: positions do not turn anything
  HeadNorm head_norm = HeadNorm::none;
  Norm q_norm, k_norm; ///< with a head norm: gains [head_dim], or [heads * head_dim] (all heads)
  float scale = 0;     ///< of scores
  float soft_cap = 0;  ///< c: scores become c tanh(score / c); 0: they stay
  float clip = 0; ///< c: q and k, behind their norm, and v stay within +-c; 0: they are as large
                  ///< as they are
  /// Queries times 1 + query_beta ln(1 + floor(position / query_length)); beta 0: they stay.
  float query_beta = 0;
  u32 query_length = 0;
  /// Tensor [heads]: one more score for each head, of no position and no value. Empty: none.
  std::string sinks;
  std::optional<Latent> latent;

  /// The matrix gives for each head a query and behind it a gate, and what the head gives is
  /// multiplied by sigmoid(gate).
  bool output_gate = false;
  std::optional<float> value_eps; ///< values are RMS-normed, each head, without a gain
  bool values_are_keys = false;   ///< the matrix has no values: they are its keys, before the norm
  /// Keys and values are those of this earlier layer, which has the same window and shape: the
  /// matrix gives queries only.
  std::optional<u32> reads_layer;

  u32 q_dim() const { return heads * head_dim; }
  u32 kv_dim() const { return kv_heads * head_dim; }
  u32 v_head_dim() const { return value_dim == 0 ? head_dim : value_dim; }
  u32 v_dim() const { return kv_heads * v_head_dim(); }
  u32 out_dim() const { return heads * v_head_dim(); } ///< inputs of o
  /// Columns of the matrix (with latent attention: of what its two make together): of queries and
  /// gates, and of all.
  u32 q_columns() const { return (output_gate ? 2 : 1) * q_dim(); }
  u32 columns() const {
    return q_columns() + (reads_layer ? 0 : kv_dim() + (values_are_keys ? 0 : v_dim()));
  }
};

/// In the place of attention: a Gated DeltaNet (Qwen3.5). Per sequence it keeps a state of fixed
/// size, whatever the length. Of a row of its matrix, [channels | value_dim z | value_heads b |
/// value_heads a], the channels, q k v of all heads, pass
///   a causal convolution, each channel for itself, and SiLU,
/// q and k become unit vectors, q divided by sqrt(key_head_dim), and for each value head
///   S = exp(-exp(A) softplus(a + dt)) S;  S += k (sigmoid(b) (v - S^T k))^T;  o = S^T q
///   out = norm(o) silu(z).
/// Value heads in turn share a key head: head h reads key head h / (value_heads / key_heads).
struct DeltaNet {
  u32 key_heads = 0; ///< divides value_heads
  u32 value_heads = 0;
  u32 key_head_dim = 0;
  u32 value_head_dim = 0;
  u32 taps = 0;            ///< of the convolution, >= 1; the last one is the newest row's
  std::string convolution; ///< tensor [channels, 1, taps]
  std::string decay;       ///< A, [value_heads]
  std::string step;        ///< dt, [value_heads]
  Norm norm;               ///< over each value head, gain [value_head_dim]
  /// Value head h goes with key head h mod key_heads; if not, those of a key head stand together.
  bool turns = false;
  bool decay_is_rate = false; ///< `decay` holds -exp(A)

  u32 key_dim() const { return key_heads * key_head_dim; }
  u32 value_dim() const { return value_heads * value_head_dim; }
  u32 key_head_of(u32 value_head) const {
    return turns ? value_head % key_heads : value_head / (value_heads / key_heads);
  }
  u32 channels() const { return 2 * key_dim() + value_dim(); }
  u32 columns() const { return channels() + value_dim() + 2 * value_heads; }
  /// Numbers of the state of a sequence: the last taps - 1 rows of the channels, and S
  /// [value_heads, key_head_dim, value_head_dim].
  std::size_t state_numbers() const {
    return std::size_t{taps - 1} * channels() +
           std::size_t{value_heads} * key_head_dim * value_head_dim;
  }
};

/// clamped_swiglu: with g = min(gate, limit) and u = up within +-limit,
/// (u + 1) g sigmoid(1.702 g); the product with up is part of it.
enum class Activation : u8 { silu, gelu_tanh, clamped_swiglu };

/// One expert of a mixture; tensors without ".weight".
struct Expert {
  std::string gate, up, down;
  u32 width = 0;
  /// Where they are in files that keep the experts of a layer in one tensor.
  std::optional<StackedMatrix> stacked_gate = std::nullopt;
  std::optional<StackedMatrix> stacked_up = std::nullopt;
  std::optional<StackedMatrix> stacked_down = std::nullopt;
};

/// Which experts count for a row, and how much. Scores are the softmax over all logits, or the
/// sigmoid of each; the `chosen` largest keep theirs as their share, the others get none.
struct Router {
  std::string tensor; ///< [routed experts, hidden]
  u32 chosen = 0;
  bool normalise = false;  ///< the shares that are kept are divided by their sum
  std::string shared_gate; ///< [1, hidden]: the last expert counts sigmoid(gate x), always; empty:
                           ///< there is no such expert
  bool shared = false;     ///< the last expert counts 1, always
  std::string bias = {};   ///< [routed experts], of the logits; empty: none
  bool sigmoid = false;
  /// [routed experts]: added to scores when experts are chosen, not to shares; empty: none.
  std::string choice_bias = {};
  /// Experts come in so many groups, of which the best `groups_chosen` may be chosen from. A group
  /// is as good as its best expert, or (group_by_two) as its two best together.
  u32 groups = 1;
  u32 groups_chosen = 1;
  bool group_by_two = false;
  float scale = 1; ///< of shares

  /// Whether the last expert is none to choose.
  bool has_shared() const { return shared || !shared_gate.empty(); }
};

/// down(activation(gate x) * up x).
/// A mixture of experts is the same with the experts side by side: gate and up of all of them are
/// one matrix, down of all of them another, and between the two each expert's activations are
/// multiplied by its share, most of them by 0. So every expert gets every row, whatever is chosen:
/// what a worker sees does not depend on it.
struct FeedForward {
  u32 intermediate = 0; ///< of all experts together
  Activation activation = Activation::silu;
  float limit = 0;             ///< of clamped_swiglu
  std::vector<Expert> experts; ///< of a mixture; otherwise empty
  std::optional<Router> router;
  /// [routed experts, hidden]: what each expert adds besides down, times its share; empty: nothing.
  std::string down_bias = {};

  /// Experts that the router chooses among.
  std::size_t routed() const { return experts.size() - (router && router->has_shared() ? 1 : 0); }
};

/// What a layer adds by the token itself (Gemma 4), behind its feed-forward:
///   h += norm(projection (gelu_tanh(gate h) * input))
/// with the layer's part of PerLayerInputs. Both matrices are small and stay in the enclave.
struct PerLayerInput {
  std::string gate;       ///< tensor [width, hidden]
  std::string projection; ///< tensor [hidden, width]
  Norm norm;
};

/// A layer:
///   h += multiplier * attention_out_norm(o(attention(qkv(attention_norm(h)))))
///   h += multiplier * feed_forward_out_norm(down(...(feed_forward_norm(h))))
///   h += the per-layer input, if there is one;  h *= scalar, if there is one
/// Norms that are not there are left out. Gains of those before a block are folded into its matrix
/// (see Linear::gain) unless ModelPlan::exact_weights; the multiplier is part of o and down.
struct Layer {
  std::string prefix; ///< of its tensors, "model.layers.3."
  std::optional<Norm> attention_norm;
  Attention attention;
  std::optional<DeltaNet> delta_net; ///< in the place of attention, whose fields are unused then
  std::optional<Norm> attention_out_norm;
  std::optional<Norm> feed_forward_norm;
  FeedForward feed_forward;
  std::optional<Norm> feed_forward_out_norm;
  float multiplier = 1;
  std::optional<PerLayerInput> per_layer_input;
  std::string scalar; ///< tensor [1]; empty: none. Only with feed_forward_out_norm

  /// Columns between qkv and o, that is inputs of o.
  u32 mixed_dim() const { return delta_net ? delta_net->value_dim() : attention.out_dim(); }
};

/// Inputs of all layers from the token itself (Gemma 4): for each layer
///   (norm(projection(embedding)) + multiplier * table row) / sqrt 2,  [width].
/// The projection is a matrix of the LinearTable, the first; `embedding` with its multiplier.
struct PerLayerInputs {
  u32 width = 0;     ///< of one layer
  std::string table; ///< tensor [tokens, layers * width]
  u32 tokens = 0;    ///< >= vocab
  float multiplier = 1;
  Norm norm; ///< over each layer's part, gain [width]
};

/// What stands behind the final norm.
enum class Head : u8 {
  tokens, ///< lm_head, the last of the matrices: logits of the token that comes next
  none,   ///< nothing: what comes out is rows [hidden], of which embeddings are made
  label,  ///< one score per row, by a tensor [1, hidden] that stays in the enclave
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
  std::optional<PerLayerInputs> per_layer_inputs;
  std::vector<Rope> ropes;
  std::vector<Layer> layers;
  Norm final_norm;
  Head head = Head::tokens;
  std::string score;        ///< tensor of Head::label
  float logit_soft_cap = 0; ///< c: logits become c tanh(logit / c); 0: they stay
  /// Gains of norms before matrices stay in the enclave, and int16 scales are powers of two:
  /// weights that are stored in bf16 are then exact, but for those below 1/128 of the largest of
  /// their row. For families whose logits magnify errors of weights.
  bool exact_weights = false;
  LinearTable linears;
  std::optional<u32> bos;
  std::vector<u32> eos;

  u32 layer_count() const { return static_cast<u32>(layers.size()); }
  /// Puts something else in the place of lm_head, which is no longer one of the matrices.
  void replace_head(Head instead) {
    head = instead;
    linears.drop_head();
  }
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
  bool expert_bias = false; ///< of gate and up of the experts of a mixture
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
