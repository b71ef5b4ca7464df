#include <fmt/format.h>

#include <cmath>
#include <iterator>
#include <string_view>

#include "arch/model_plan.hpp"

namespace talaria::arch {

namespace {

using Out = std::back_insert_iterator<std::string>;

template <class... Arguments>
void step(std::string& out, const char* name, fmt::format_string<Arguments...> text,
          Arguments&&... arguments) {
  fmt::format_to(Out(out), "    {:<18} {}\n", name,
                 fmt::format(text, std::forward<Arguments>(arguments)...));
}

std::string norm_text(const Norm& norm) {
  return fmt::format("RMS, eps {:g}, gain {}{}", norm.eps, norm.plus_one ? "1 + " : "",
                     norm.tensor);
}

/// The tensors of a layer without what differs from layer to layer.
std::string without(std::string text, const std::string& prefix) {
  for (std::size_t at = 0; (at = text.find(prefix, at)) != std::string::npos;)
    text.erase(at, prefix.size());
  return text;
}

std::string rope_text(const ModelPlan& plan, const Attention& attention) {
  if (!attention.rope) return "no RoPE";
  const Rope& rope = plan.ropes[*attention.rope];
  const std::size_t turned = 2 * rope.frequencies.size();
  std::string out = fmt::format("RoPE \"{}\"", rope.name);
  if (turned != attention.head_dim) out += fmt::format(" on {} of {}", turned, attention.head_dim);
  return out;
}

std::string attention_text(const ModelPlan& plan, const Attention& a) {
  std::string out = fmt::format("{} heads of {}, {} of keys and values, {}, scale {:g}", a.heads,
                                a.head_dim, a.kv_heads, rope_text(plan, a), a.scale);
  if (a.v_head_dim() != a.head_dim) out += fmt::format(", values of {}", a.v_head_dim());
  if (a.values_are_keys) out += ", values are the keys before norm and RoPE";
  if (a.reads_layer) out += fmt::format(", keys and values of layer {}", *a.reads_layer);
  out += a.window == 0 ? ", full" : fmt::format(", window {}", a.window);
  if (a.clip != 0) out += fmt::format(", q, k and v within +-{:g}", a.clip);
  if (a.soft_cap != 0) out += fmt::format(", scores capped at {:g}", a.soft_cap);
  if (a.query_beta != 0)
    out += fmt::format(", queries times 1 + {:g} ln(1 + floor(position / {}))", a.query_beta,
                       a.query_length);
  if (!a.sinks.empty()) out += fmt::format(", one more score per head ({})", a.sinks);
  if (a.output_gate) out += ", times sigmoid(gate)";
  return out;
}

void delta_net(std::string& out, const DeltaNet& net) {
  step(out, "convolution", "{} taps on each of {} channels ({}), silu", net.taps, net.channels(),
       net.convolution);
  step(
      out, "delta net",
      "{} heads of values of {}, {} of keys of {}{}, unit q and k, scale {:g}, decay by {} and {}, "
      "a state of {} numbers",
      net.value_heads, net.value_head_dim, net.key_heads, net.key_head_dim,
      net.turns ? " by turns" : "", 1.0F / std::sqrt(static_cast<float>(net.key_head_dim)),
      net.decay, net.step, net.state_numbers());
  step(out, "norm", "each head of values, {}, times silu(z)", norm_text(net.norm));
}

void per_layer_input(std::string& out, const PerLayerInput& input, u32 width) {
  step(out, "per-layer input", "gelu_tanh(gate h) * input of {}, gate {}, then {}", width,
       input.gate, input.projection);
  step(out, "norm", "{}", norm_text(input.norm));
  step(out, "add", "to the residual stream");
}

std::string router_text(const FeedForward& shape, const Router& router) {
  std::string out =
      fmt::format("{} of {} experts of {} by {} ({}{}){}", router.chosen, shape.routed(),
                  shape.experts.front().width, router.sigmoid ? "sigmoid" : "softmax",
                  router.tensor, router.bias.empty() ? "" : " + " + router.bias,
                  router.normalise ? ", shares normalised" : "");
  if (!router.choice_bias.empty()) out += fmt::format(", chosen by score + {}", router.choice_bias);
  if (router.groups != router.groups_chosen)
    out += fmt::format(", of the best {} of {} groups by their {}", router.groups_chosen,
                       router.groups, router.group_by_two ? "two best" : "best");
  if (router.scale != 1) out += fmt::format(", times {:g}", router.scale);
  if (router.shared) out += fmt::format("; one of {} always", shape.experts.back().width);
  if (!router.shared_gate.empty())
    out += fmt::format("; one of {} always, by sigmoid ({})", shape.experts.back().width,
                       router.shared_gate);
  return out + "; every expert gets every row";
}

std::string parts_text(const Linear& linear) {
  if (linear.parts.size() > 4)
    return fmt::format("{} tensors{}", linear.parts.size(),
                       linear.by_inputs ? " side by side" : "");
  std::string parts;
  for (const LinearPart& part : linear.parts) {
    const auto at = part.base.rfind('.');
    parts += (parts.empty() ? "" : ", ") + part.base.substr(at == std::string::npos ? 0 : at + 1);
  }
  return parts;
}

void matrix(std::string& out, const Linear& linear) {
  const std::string_view name = linear.name;
  const auto dot = name.rfind('.');
  step(out, std::string(dot == std::string_view::npos ? name : name.substr(dot + 1)).c_str(),
       "worker: {} -> {} ({}){}{}", linear.d_in, linear.d_out, parts_text(linear),
       linear.bias ? ", bias" : "",
       linear.multiplier == 1 ? "" : fmt::format(", times {:g}", linear.multiplier));
}

void latent(std::string& out, const ModelPlan& plan, u32 l) {
  const Latent& latent = *plan.layers[l].attention.latent;
  if (latent.query_rank != 0)
    step(out, "norm", "first {}: {}", latent.query_rank, norm_text(latent.query_norm));
  step(out, "norm", "{}{}: {}", latent.query_rank != 0 ? "next " : "behind the queries, ",
       latent.kv_rank, norm_text(latent.kv_norm));
  matrix(out, plan.linears.of(l, LinearKind::heads));
}

void attention(std::string& out, const ModelPlan& plan, u32 l) {
  const Attention& a = plan.layers[l].attention;
  if (a.head_norm != HeadNorm::none)
    step(out, a.reads_layer ? "q norm" : "q and k norm", "{}, {}",
         a.head_norm == HeadNorm::per_head ? "each head" : "all heads at once",
         norm_text(a.q_norm));
  if (a.value_eps && !a.reads_layer)
    step(out, "v norm", "each head, RMS, eps {:g}, no gain", *a.value_eps);
  if (a.latent) latent(out, plan, l);
  step(out, "attention", "{}", attention_text(plan, a));
}

std::string activation_text(const FeedForward& shape) {
  switch (shape.activation) {
  case Activation::silu:
    break;
  case Activation::gelu_tanh:
    return "gelu_tanh(gate) * up";
  case Activation::clamped_swiglu:
    return fmt::format("(up + 1) * gate * sigmoid(1.702 gate), both clamped at {:g}", shape.limit);
  }
  return "silu(gate) * up";
}

std::string layer_text(const ModelPlan& plan, u32 l) {
  const Layer& layer = plan.layers[l];
  std::string out;
  const auto of = [&](LinearKind kind) { matrix(out, plan.linears.of(l, kind)); };
  if (layer.attention_norm) step(out, "norm", "{}", norm_text(*layer.attention_norm));
  of(LinearKind::qkv);
  if (layer.delta_net)
    delta_net(out, *layer.delta_net);
  else
    attention(out, plan, l);
  of(LinearKind::o);
  if (layer.attention_out_norm) step(out, "norm", "{}", norm_text(*layer.attention_out_norm));
  step(out, "add", "to the residual stream");
  if (layer.feed_forward_norm) step(out, "norm", "{}", norm_text(*layer.feed_forward_norm));
  if (const auto& router = layer.feed_forward.router)
    step(out, "router", "{}", router_text(layer.feed_forward, *router));
  of(LinearKind::gate_up);
  step(out, "activation", "{}{}", activation_text(layer.feed_forward),
       layer.feed_forward.router ? ", each expert's times its share" : "");
  of(LinearKind::down);
  if (!layer.feed_forward.down_bias.empty())
    step(out, "add", "each expert's {} times its share", layer.feed_forward.down_bias);
  if (layer.feed_forward_out_norm) step(out, "norm", "{}", norm_text(*layer.feed_forward_out_norm));
  step(out, "add", "to the residual stream");
  if (layer.per_layer_input)
    per_layer_input(out, *layer.per_layer_input, plan.per_layer_inputs->width);
  if (!layer.scalar.empty()) step(out, "scale", "the residual stream, times {}", layer.scalar);
  return without(out, layer.prefix);
}

void per_layer_inputs(std::string& out, const ModelPlan& plan) {
  const PerLayerInputs& inputs = *plan.per_layer_inputs;
  out += "inputs of all layers\n";
  step(out, "table", "{}, {} for each of {} layers, times {:g}", inputs.table, inputs.width,
       plan.layer_count(), inputs.multiplier);
  matrix(out, *plan.linears.begin());
  step(out, "norm", "each layer's part, {}", norm_text(inputs.norm));
  step(out, "add", "both, divided by sqrt(2)");
}

void ropes(std::string& out, const ModelPlan& plan) {
  for (const Rope& rope : plan.ropes) {
    fmt::format_to(
        Out(out), "RoPE \"{}\": {} pairs, {:g} to {:g} radians per position{}{}{}\n", rope.name,
        rope.frequencies.size(), rope.frequencies.front(), rope.frequencies.back(),
        rope.neighbours ? ", neighbours paired" : ", halves paired",
        rope.magnitude == 1 ? "" : fmt::format(", times {:g}", rope.magnitude),
        rope.original_length == 0
            ? ""
            : fmt::format(", other frequencies beyond {} positions", rope.original_length));
  }
}

} // namespace

std::string plan_text(const ModelPlan& plan) {
  std::string out = fmt::format(
      "{}: hidden {}, vocabulary {}, context {}, {} layers, {} matrices\n", plan.model_type,
      plan.hidden, plan.vocab, plan.max_position, plan.layer_count(), plan.linears.size());
  ropes(out, plan);
  fmt::format_to(
      Out(out), "embedding: {}{}\n", plan.embedding,
      plan.embedding_multiplier == 1 ? "" : fmt::format(", times {:g}", plan.embedding_multiplier));
  if (plan.exact_weights)
    out += "gains of norms stay in the enclave, int16 scales are powers of two\n";
  if (plan.per_layer_inputs) per_layer_inputs(out, plan);
  for (u32 first = 0; first < plan.layer_count();) {
    const std::string text = layer_text(plan, first);
    u32 last = first;
    while (last + 1 < plan.layer_count() && layer_text(plan, last + 1) == text) ++last;
    out += first == last ? fmt::format("layer {}\n", first)
                         : fmt::format("layers {} to {}\n", first, last);
    out += text;
    first = last + 1;
  }
  out += "end\n";
  step(out, "norm", "{}", norm_text(plan.final_norm));
  if (plan.head != Head::tokens) {
    step(out, "pool", "{}", plan.head == Head::label ? "one score, by " + plan.score : "rows");
    return out;
  }
  matrix(out, plan.linears.head());
  if (plan.logit_soft_cap != 0)
    step(out, "soft cap", "{:g} tanh(logit / {:g})", plan.logit_soft_cap, plan.logit_soft_cap);
  step(out, "sample", "{} ids end an answer", plan.eos.size());
  return out;
}

} // namespace talaria::arch
