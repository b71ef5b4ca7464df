#include "pipeline/graph.hpp"

#include "actors/enclave/activation_stage.hpp"
#include "actors/enclave/attention_stage.hpp"
#include "actors/enclave/embed_stage.hpp"
#include "actors/enclave/norm_stage.hpp"
#include "actors/enclave/outsource_stage.hpp"
#include "actors/enclave/sampler_stage.hpp"
#include "actors/enclave/unmask_stage.hpp"

namespace talaria::pipeline {

using arch::LinearKind;
using enclave::Stage;
using enclave::StageContext;

namespace {

/// Builds the chain back to front, as every stage is born knowing its successor, and reads the plan
/// from its end to its beginning for that.
class Builder {
public:
  Builder(caf::actor_system& system, const GraphParts& parts, const enclave::Overseer& overseer)
      : system_(system), parts_(parts), overseer_(overseer) {}

  Graph build() {
    const arch::ModelPlan& plan = parts_.plan;
    sampler_ =
        keep("sampler", enclave::spawn_sampler(system_, context("sampler"), parts_.oblivious));
    Stage next = caf::actor_cast<Stage>(sampler_);
    if (plan.logit_soft_cap != 0)
      next = keep("soft_cap",
                  enclave::spawn_soft_cap(system_, context("soft_cap"), plan.logit_soft_cap, next));
    next = outsourced(plan.linears.head(), enclave::Unmasked::as_input, next);
    next = norm("final_norm", plan.final_norm, next);
    for (u32 layer = plan.layer_count(); layer-- > 0;) next = decoder_layer(layer, next);
    graph_.wiring.entrance =
        keep("embed", enclave::spawn_embed(system_, context("embed"),
                                           {parts_.embeddings, plan.embedding_multiplier,
                                            model::RopeTables(plan.ropes)},
                                           next, parts_.oblivious ? parts_.team : nullptr));
    graph_.wiring.sampler = sampler_;
    return std::move(graph_);
  }

private:
  Stage decoder_layer(u32 index, Stage next) {
    const arch::Layer& layer = parts_.plan.layers[index];
    const model::LayerGains& gains = parts_.tensors.gains[index];
    const std::string prefix = "layers." + std::to_string(index) + ".";
    const auto matrix = [&](LinearKind kind) -> const arch::Linear& {
      return parts_.plan.linears.of(index, kind);
    };

    next = into_residual(matrix(LinearKind::down), prefix + "mlp_out_norm",
                         layer.feed_forward_out_norm, gains.feed_forward_out, next);
    const auto mixture = layer.feed_forward.router
                             ? std::make_shared<const model::Mixture>(layer.feed_forward, gains)
                             : nullptr;
    next = keep(prefix + "activation",
                enclave::spawn_activation(system_, context(prefix + "activation"),
                                          layer.feed_forward, mixture, next));
    next = outsourced(matrix(LinearKind::gate_up), enclave::Unmasked::as_input, next);
    if (mixture)
      next = keep(prefix + "router",
                  enclave::spawn_router(system_, context(prefix + "router"), mixture, next));
    if (layer.feed_forward_norm) next = norm(prefix + "mlp_norm", *layer.feed_forward_norm, next);
    next = into_residual(matrix(LinearKind::o), prefix + "attention_out_norm",
                         layer.attention_out_norm, gains.attention_out, next);
    const auto attention =
        keep(prefix + "attention",
             enclave::spawn_attention(system_, context(prefix + "attention"),
                                      attention_shape(index), parts_.team, next, sampler_));
    graph_.wiring.attention.push_back(attention);
    next = outsourced(matrix(LinearKind::qkv), enclave::Unmasked::as_input,
                      caf::actor_cast<Stage>(attention));
    if (!layer.attention_norm) return next;
    return norm(prefix + "attention_norm", *layer.attention_norm, next);
  }

  /// A matrix whose output is added to the residual stream, after a norm of its own if there is
  /// one.
  Stage into_residual(const arch::Linear& linear, const std::string& norm_name,
                      const std::optional<arch::Norm>& norm, const std::vector<float>& gain,
                      Stage next) {
    if (!norm) return outsourced(linear, enclave::Unmasked::into_residual, std::move(next));
    next = keep(norm_name, enclave::spawn_out_norm(system_, context(norm_name), gain, norm->eps,
                                                   std::move(next)));
    return outsourced(linear, enclave::Unmasked::as_input, std::move(next));
  }

  /// mask ─▶ outsource ─▶ unmask of one matrix, in front of `next`.
  Stage outsourced(const arch::Linear& linear, enclave::Unmasked mode, Stage next) {
    const u32 id = linear.id.value;
    const std::string& name = linear.name;
    const enclave::OutsourcedLinear target{parts_.linears[id], parts_.pool, id};
    const auto unmask =
        keep(name + ".unmask", enclave::spawn_unmask(system_, context(name + ".unmask"), target,
                                                     mode, std::move(next)));
    const auto outsource =
        keep(name + ".outsource", enclave::spawn_outsource(system_, parts_.worker, unmask));
    return keep(name + ".mask",
                enclave::spawn_mask(system_, context(name + ".mask"), target, outsource, unmask));
  }

  Stage norm(const std::string& name, const arch::Norm& norm, Stage next) {
    return keep(name, enclave::spawn_norm(system_, context(name), norm.eps, std::move(next)));
  }

  enclave::AttentionShape attention_shape(u32 index) const {
    enclave::AttentionShape shape;
    shape.attention = parts_.plan.layers[index].attention;
    const auto rope = shape.attention.rope;
    shape.heads = std::make_shared<const model::HeadPreparation>(
        shape.attention, parts_.tensors.gains[index], rope && parts_.plan.ropes[*rope].neighbours);
    shape.layout = parts_.kv;
    shape.layer = index;
    shape.last_layer = index + 1 == parts_.plan.layer_count();
    return shape;
  }

  StageContext context(std::string name) const {
    const auto track = parts_.tracer != nullptr ? parts_.tracer->track("enclave", name) : 0;
    return {std::move(name), overseer_, parts_.tracer, track};
  }

  template <class Handle>
  Handle keep(std::string name, Handle handle) {
    graph_.stages.push_back({std::move(name), caf::actor_cast<caf::actor>(handle)});
    return handle;
  }

  caf::actor_system& system_;
  const GraphParts& parts_;
  const enclave::Overseer& overseer_;
  enclave::SamplerStage sampler_;
  Graph graph_;
};

} // namespace

Graph build_graph(caf::actor_system& system, const GraphParts& parts,
                  const enclave::Overseer& overseer) {
  return Builder(system, parts, overseer).build();
}

} // namespace talaria::pipeline
