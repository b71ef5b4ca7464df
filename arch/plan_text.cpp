#include <fmt/format.h>

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
  out += a.window == 0 ? ", full" : fmt::format(", window {}", a.window);
  if (a.soft_cap != 0) out += fmt::format(", scores capped at {:g}", a.soft_cap);
  if (a.query_beta != 0)
    out += fmt::format(", queries times 1 + {:g} ln(1 + floor(position / {}))", a.query_beta,
                       a.query_length);
  return out;
}

void matrix(std::string& out, const Linear& linear) {
  const std::string_view name = linear.name;
  const auto dot = name.rfind('.');
  std::string parts;
  for (const LinearPart& part : linear.parts) {
    const auto at = part.base.rfind('.');
    parts += (parts.empty() ? "" : ", ") + part.base.substr(at == std::string::npos ? 0 : at + 1);
  }
  step(out, std::string(dot == std::string_view::npos ? name : name.substr(dot + 1)).c_str(),
       "worker: {} -> {} ({}){}{}", linear.d_in, linear.d_out, parts, linear.bias ? ", bias" : "",
       linear.multiplier == 1 ? "" : fmt::format(", times {:g}", linear.multiplier));
}

std::string layer_text(const ModelPlan& plan, u32 l) {
  const Layer& layer = plan.layers[l];
  const Attention& a = layer.attention;
  std::string out;
  const auto of = [&](LinearKind kind) { matrix(out, plan.linears.of(l, kind)); };
  if (layer.attention_norm) step(out, "norm", "{}", norm_text(*layer.attention_norm));
  of(LinearKind::qkv);
  if (a.head_norm != HeadNorm::none)
    step(out, "q and k norm", "{}, {}",
         a.head_norm == HeadNorm::per_head ? "each head" : "all heads at once",
         norm_text(a.q_norm));
  step(out, "attention", "{}", attention_text(plan, a));
  of(LinearKind::o);
  if (layer.attention_out_norm) step(out, "norm", "{}", norm_text(*layer.attention_out_norm));
  step(out, "add", "to the residual stream");
  if (layer.feed_forward_norm) step(out, "norm", "{}", norm_text(*layer.feed_forward_norm));
  of(LinearKind::gate_up);
  step(out, "activation", "{}(gate) * up",
       layer.feed_forward.activation == Activation::silu ? "silu" : "gelu_tanh");
  of(LinearKind::down);
  if (layer.feed_forward_out_norm) step(out, "norm", "{}", norm_text(*layer.feed_forward_out_norm));
  step(out, "add", "to the residual stream");
  return without(out, layer.prefix);
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
  matrix(out, plan.linears.head());
  if (plan.logit_soft_cap != 0)
    step(out, "soft cap", "{:g} tanh(logit / {:g})", plan.logit_soft_cap, plan.logit_soft_cap);
  step(out, "sample", "{} ids end an answer", plan.eos.size());
  return out;
}

} // namespace talaria::arch
