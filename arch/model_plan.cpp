#include "arch/model_plan.hpp"

#include <fmt/format.h>

namespace talaria::arch {

namespace {

FoldedGain folded(const std::optional<Norm>& norm) {
  return norm ? FoldedGain{norm->tensor, norm->plus_one} : FoldedGain{};
}

/// Appends matrices and numbers them.
class TableBuilder {
public:
  TableBuilder(const ModelPlan& plan, const TensorNames& names) : plan_(plan), names_(names) {}

  LinearTable build() {
    for (u32 l = 0; l < plan_.layer_count(); ++l) add_layer(l, plan_.layers[l]);
    Linear head;
    head.name = "lm_head";
    head.kind = LinearKind::lm_head;
    head.layer = plan_.layer_count() - 1;
    head.d_in = plan_.hidden;
    head.parts = {
        {plan_.tied_embeddings ? names_.root + "embed_tokens" : names_.head, plan_.vocab}};
    head.gain = {plan_.final_norm.tensor, plan_.final_norm.plus_one};
    head.multiplier = names_.logit_multiplier;
    add(std::move(head));
    return LinearTable(std::move(linears_));
  }

private:
  void add(Linear linear) {
    linear.id.value = static_cast<u32>(linears_.size());
    for (const LinearPart& part : linear.parts) linear.d_out += part.rows;
    linears_.push_back(std::move(linear));
  }

  void add_layer(u32 l, const Layer& layer) {
    const std::string attention = layer.prefix + "self_attn.";
    const std::string mlp = layer.prefix + "mlp.";
    const std::size_t q = layer.attention.q_dim();
    const std::size_t kv = layer.attention.kv_dim();
    const std::size_t inner = layer.feed_forward.intermediate;
    const auto linear = [&](const char* name, LinearKind kind, std::size_t d_in) {
      Linear out;
      out.name = fmt::format("layers.{}.{}", l, name);
      out.kind = kind;
      out.layer = l;
      out.d_in = d_in;
      return out;
    };
    Linear qkv = linear("qkv", LinearKind::qkv, plan_.hidden);
    qkv.parts = names_.fused_qkv ? std::vector<LinearPart>{{attention + "qkv_proj", q + 2 * kv}}
                                 : std::vector<LinearPart>{{attention + "q_proj", q},
                                                           {attention + "k_proj", kv},
                                                           {attention + "v_proj", kv}};
    qkv.gain = folded(layer.attention_norm);
    qkv.bias = names_.qkv_bias;
    Linear o = linear("o", LinearKind::o, q);
    o.parts = {{attention + "o_proj", plan_.hidden}};
    o.bias = names_.o_bias;
    o.multiplier = layer.multiplier;
    Linear gate_up = linear("gate_up", LinearKind::gate_up, plan_.hidden);
    gate_up.parts =
        names_.fused_gate_up
            ? std::vector<LinearPart>{{mlp + "gate_up_proj", 2 * inner}}
            : std::vector<LinearPart>{{mlp + "gate_proj", inner}, {mlp + "up_proj", inner}};
    gate_up.gain = folded(layer.feed_forward_norm);
    gate_up.bias = names_.mlp_bias;
    Linear down = linear("down", LinearKind::down, inner);
    down.parts = {{mlp + "down_proj", plan_.hidden}};
    down.bias = names_.mlp_bias;
    down.multiplier = layer.multiplier;
    for (Linear* matrix : {&qkv, &o, &gate_up, &down}) add(std::move(*matrix));
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
