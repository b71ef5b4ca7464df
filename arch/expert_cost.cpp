#include "arch/expert_cost.hpp"

namespace talaria::arch {

namespace {

void add_expert(u64 hidden, u64 width, u64 times, ExpertNumbers& out) {
  out.products += times * 3 * hidden * width;
  out.gate_up_inputs += times * hidden;
  out.gate_up_outputs += times * 2 * width;
  out.down_inputs += times * width;
  out.down_outputs += times * hidden;
}

} // namespace

ExpertNumbers numbers_of_all(const FeedForward& shape, u32 hidden) {
  ExpertNumbers out;
  add_expert(hidden, shape.intermediate, 1, out);
  return out;
}

ExpertNumbers numbers_of_chosen(const FeedForward& shape, u32 hidden) {
  ExpertNumbers out;
  add_expert(hidden, shape.experts.front().width, shape.router->chosen, out);
  if (shape.router->has_shared()) add_expert(hidden, shape.experts.back().width, 1, out);
  return out;
}

std::optional<ExpertCost> expert_cost(const ModelPlan& plan) {
  ExpertCost out;
  for (const Layer& layer : plan.layers) {
    const FeedForward& shape = layer.feed_forward;
    if (!shape.router) continue;
    if (out.layers++ == 0) {
      out.routed = static_cast<u32>(shape.routed());
      out.chosen = shape.router->chosen;
    }
    out.products += numbers_of_all(shape, plan.hidden).products;
    out.chosen_products += numbers_of_chosen(shape, plan.hidden).products;
  }
  if (out.layers == 0) return std::nullopt;
  return out;
}

} // namespace talaria::arch
