#include "arch/model_plan.hpp"

#include <fmt/format.h>

#include <cmath>

namespace talaria::arch {

namespace {

/// Appends matrices and numbers them.
class TableBuilder {
public:
  TableBuilder(const ModelPlan& plan, const TensorNames& names) : plan_(plan), names_(names) {}

  LinearTable build() {
    if (plan_.per_layer_inputs) add_per_layer_inputs();
    for (u32 l = 0; l < plan_.layer_count(); ++l) add_layer(l, plan_.layers[l]);
    Linear head;
    head.name = "lm_head";
    head.kind = LinearKind::lm_head;
    head.layer = plan_.layer_count() - 1;
    head.d_in = plan_.hidden;
    head.parts = {
        {plan_.tied_embeddings ? names_.root + "embed_tokens" : names_.head, plan_.vocab}};
    head.gain = folded(plan_.final_norm);
    head.multiplier = names_.logit_multiplier;
    add(std::move(head));
    return LinearTable(std::move(linears_));
  }

private:
  FoldedGain folded(const std::optional<Norm>& norm) const {
    return norm && !plan_.exact_weights ? FoldedGain{norm->tensor, norm->plus_one} : FoldedGain{};
  }

  void add(Linear linear) {
    linear.id.value = static_cast<u32>(linears_.size());
    linear.binary_scales = plan_.exact_weights;
    if (!linear.by_inputs)
      for (const LinearPart& part : linear.parts) linear.d_out += part.size;
    linears_.push_back(std::move(linear));
  }

  Linear linear(u32 l, const char* name, LinearKind kind, std::size_t d_in) const {
    Linear out;
    out.name = fmt::format("layers.{}.{}", l, name);
    out.kind = kind;
    out.layer = l;
    out.d_in = d_in;
    return out;
  }

  /// Its input is the embedding; the norm behind it is over values divided by sqrt(hidden).
  void add_per_layer_inputs() {
    Linear linear;
    linear.name = "per_layer_inputs";
    linear.kind = LinearKind::per_layer_inputs;
    linear.d_in = plan_.hidden;
    linear.parts = {{names_.root + "per_layer_model_projection",
                     std::size_t{plan_.layer_count()} * plan_.per_layer_inputs->width}};
    linear.multiplier = 1.0F / std::sqrt(static_cast<float>(plan_.hidden));
    add(std::move(linear));
  }

  std::vector<LinearPart> delta_net_parts(const Layer& layer) const {
    const DeltaNet& net = *layer.delta_net;
    const std::string base = layer.prefix + "linear_attn.in_proj_";
    return {{base + "qkv", net.channels()},
            {base + "z", net.value_dim()},
            {base + "b", net.value_heads},
            {base + "a", net.value_heads}};
  }

  std::vector<LinearPart> attention_parts(const Layer& layer) const {
    const Attention& a = layer.attention;
    const std::string base = layer.prefix + "self_attn.";
    if (names_.fused_qkv) return {{base + "qkv_proj", a.columns()}};
    std::vector<LinearPart> parts{{base + "q_proj", a.q_columns()}};
    if (a.reads_layer) return parts;
    parts.push_back({base + "k_proj", a.kv_dim()});
    if (!a.values_are_keys) parts.push_back({base + "v_proj", a.v_dim()});
    return parts;
  }

  void add_layer(u32 l, const Layer& layer) {
    add_mixer(l, layer);
    add_feed_forward(l, layer);
  }

  /// Attention, or what stands in its place.
  void add_mixer(u32 l, const Layer& layer) {
    const bool attends = !layer.delta_net;
    const bool latent = attends && layer.attention.latent;
    Linear qkv = linear(l, "qkv", LinearKind::qkv, plan_.hidden);
    qkv.parts = latent    ? latent_parts(layer)
                : attends ? attention_parts(layer)
                          : delta_net_parts(layer);
    qkv.gain = folded(layer.attention_norm);
    qkv.bias = attends && names_.qkv_bias;
    add(std::move(qkv));
    if (latent) add(latent_heads(linear(l, "heads", LinearKind::heads, 0), layer));
    Linear o = linear(l, "o", LinearKind::o, layer.mixed_dim());
    o.parts = {
        {layer.prefix + (attends ? "self_attn.o_proj" : "linear_attn.out_proj"), plan_.hidden}};
    o.bias = attends && names_.o_bias;
    o.multiplier = layer.multiplier;
    add(std::move(o));
  }

  void add_feed_forward(u32 l, const Layer& layer) {
    const std::string mlp = layer.prefix + "mlp.";
    const std::size_t inner = layer.feed_forward.intermediate;
    const bool mixture = layer.feed_forward.router.has_value();
    Linear gate_up = linear(l, "gate_up", LinearKind::gate_up, plan_.hidden);
    Linear down = linear(l, "down", LinearKind::down, inner);
    if (mixture) {
      for (const Expert& expert : layer.feed_forward.experts)
        gate_up.parts.push_back(part_of(expert.gate, expert.width, expert.stacked_gate));
      for (const Expert& expert : layer.feed_forward.experts) {
        gate_up.parts.push_back(part_of(expert.up, expert.width, expert.stacked_up));
        down.parts.push_back(part_of(expert.down, expert.width, expert.stacked_down));
      }
      down.by_inputs = true;
      down.d_out = plan_.hidden;
    } else {
      gate_up.parts =
          names_.fused_gate_up
              ? std::vector<LinearPart>{{mlp + "gate_up_proj", 2 * inner}}
              : std::vector<LinearPart>{{mlp + "gate_proj", inner}, {mlp + "up_proj", inner}};
      down.parts = {{mlp + "down_proj", plan_.hidden}};
    }
    gate_up.gain = folded(layer.feed_forward_norm);
    gate_up.bias = mixture ? names_.expert_bias : names_.mlp_bias;
    down.bias = names_.mlp_bias && !mixture;
    down.multiplier = layer.multiplier;
    add(std::move(gate_up));
    add(std::move(down));
  }

  static LinearPart part_of(const std::string& base, std::size_t size,
                            const std::optional<StackedMatrix>& stacked) {
    LinearPart part{base, size};
    part.stacked = stacked;
    return part;
  }

  /// Of the first matrix of latent attention. DeepSeek's queries have no bias where they are not
  /// made of a few numbers.
  static std::vector<LinearPart> latent_parts(const Layer& layer) {
    const Latent& latent = *layer.attention.latent;
    const std::string prefix = layer.prefix + "self_attn.";
    LinearPart queries{prefix + "q_a_proj", latent.query_rank};
    if (latent.query_rank == 0) {
      queries = {prefix + "q_proj", layer.attention.q_dim()};
      queries.has_bias = false;
    }
    return {queries, {prefix + "kv_a_proj_with_mqa", latent.kv_rank + latent.turned}};
  }

  /// The second one: two matrices that share no input, as one with zeros in two corners.
  static Linear latent_heads(Linear linear, const Layer& layer) {
    const Attention& a = layer.attention;
    const Latent& latent = *a.latent;
    const std::string prefix = layer.prefix + "self_attn.";
    const auto block = [&](const char* name, std::size_t size, std::size_t inputs,
                           const Norm& norm) {
      LinearPart part{prefix + name, size};
      part.first_input = linear.d_in;
      part.inputs = inputs;
      part.gain = {norm.tensor, norm.plus_one};
      linear.d_in += inputs;
      linear.parts.push_back(std::move(part));
    };
    if (latent.query_rank != 0) block("q_b_proj", a.q_dim(), latent.query_rank, latent.query_norm);
    block("kv_b_proj", a.heads * (a.head_dim - latent.turned + a.v_head_dim()), latent.kv_rank,
          latent.kv_norm);
    return linear;
  }

  const ModelPlan& plan_;
  const TensorNames& names_;
  std::vector<Linear> linears_;
};

} // namespace

LinearTable linear_table(const ModelPlan& plan, const TensorNames& names) {
  return TableBuilder(plan, names).build();
}

} // namespace talaria::arch
