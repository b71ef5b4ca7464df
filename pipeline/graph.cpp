#include "pipeline/graph.hpp"

#include <algorithm>
#include <functional>
#include <utility>

#include "actors/enclave/activation_stage.hpp"
#include "actors/enclave/attention_stage.hpp"
#include "actors/enclave/delta_net_stage.hpp"
#include "actors/enclave/embed_stage.hpp"
#include "actors/enclave/latent_stage.hpp"
#include "actors/enclave/norm_stage.hpp"
#include "actors/enclave/outsource_stage.hpp"
#include "actors/enclave/per_layer_stage.hpp"
#include "actors/enclave/sampler_stage.hpp"
#include "actors/enclave/unmask_stage.hpp"

namespace talaria::pipeline {

using arch::LinearKind;
using enclave::Stage;
using enclave::StageContext;

namespace {

/// Reads the plan front to back and notes a step for each stage, or three for a matrix. An actor is
/// born knowing its successor, so the steps are carried out from the last to the first.
class Builder {
public:
  Builder(caf::actor_system& system, const GraphParts& parts, const enclave::Overseer& overseer)
      : system_(system), parts_(parts), overseer_(overseer) {}

  Graph build() {
    const arch::ModelPlan& plan = parts_.plan;
    if (plan.per_layer_inputs) per_layer_inputs(*plan.per_layer_inputs);
    for (u32 layer = 0; layer < plan.layer_count(); ++layer) decoder_layer(layer);
    norm("final_norm", plan.final_norm, parts_.tensors.final_gain);
    if (parts_.pooler) {
      sampler_ = keep("pooler", enclave::spawn_pooler(system_, context("pooler"), *parts_.pooler));
    } else {
      outsourced(plan.linears.head(), enclave::Unmasked::as_input);
      if (plan.logit_soft_cap != 0)
        step("soft_cap", [this, cap = plan.logit_soft_cap](StageContext context, Stage next) {
          return enclave::spawn_soft_cap(system_, std::move(context), cap, std::move(next));
        });
      sampler_ =
          keep("sampler", enclave::spawn_sampler(system_, context("sampler"), parts_.oblivious));
    }
    Stage next = caf::actor_cast<Stage>(sampler_);
    for (auto carry_out = steps_.rbegin(); carry_out != steps_.rend(); ++carry_out)
      next = (*carry_out)(std::move(next));
    graph_.wiring.entrance = keep(
        "embed", enclave::spawn_embed(system_, context("embed"),
                                      {parts_.embeddings, plan.embedding_multiplier,
                                       model::RopeTables(plan.ropes), parts_.per_layer_embeddings},
                                      next, parts_.oblivious ? parts_.team : nullptr));
    graph_.wiring.sampler = sampler_;
    std::reverse(graph_.stages.begin(), graph_.stages.end());
    return std::move(graph_);
  }

private:
  void decoder_layer(u32 index) {
    const arch::Layer& layer = parts_.plan.layers[index];
    const model::LayerGains& gains = parts_.tensors.gains[index];
    const std::string prefix = "layers." + std::to_string(index) + ".";
    const auto matrix = [&](LinearKind kind) -> const arch::Linear& {
      return parts_.plan.linears.of(index, kind);
    };

    if (layer.attention_norm)
      norm(prefix + "attention_norm", *layer.attention_norm, gains.attention_in);
    outsourced(matrix(LinearKind::qkv), enclave::Unmasked::as_input);
    if (layer.attention.latent) latent(index, prefix);
    mixer(prefix, index);
    into_residual(matrix(LinearKind::o), prefix + "attention_out_norm", layer.attention_out_norm,
                  gains.attention_out);

    if (layer.feed_forward_norm)
      norm(prefix + "mlp_norm", *layer.feed_forward_norm, gains.feed_forward_in);
    const auto mixture = layer.feed_forward.router
                             ? std::make_shared<const model::Mixture>(layer.feed_forward, gains)
                             : nullptr;
    if (mixture)
      step(prefix + "router", [this, mixture](StageContext context, Stage next) {
        return enclave::spawn_router(system_, std::move(context), mixture, std::move(next));
      });
    outsourced(matrix(LinearKind::gate_up), enclave::Unmasked::as_input);
    step(prefix + "activation", [this, &layer, mixture](StageContext context, Stage next) {
      return enclave::spawn_activation(system_, std::move(context), layer.feed_forward, mixture,
                                       std::move(next));
    });
    const bool more = layer.per_layer_input.has_value(); // then the scalar comes behind that
    into_residual(matrix(LinearKind::down), prefix + "mlp_out_norm", layer.feed_forward_out_norm,
                  gains.feed_forward_out, more ? 1 : gains.scalar);
    if (more) per_layer_input(prefix, index);
  }

  /// Attention, or what stands in its place.
  void mixer(const std::string& prefix, u32 index) {
    const bool attends = !parts_.plan.layers[index].delta_net;
    step(prefix + (attends ? "attention" : "delta_net"),
         [this, index, attends](StageContext context, Stage next) {
           const auto stage =
               attends
                   ? enclave::spawn_attention(system_, std::move(context), attention_shape(index),
                                              parts_.team, std::move(next), sampler_)
                   : enclave::spawn_delta_net(system_, std::move(context), delta_net_shape(index),
                                              parts_.team, std::move(next), sampler_);
           graph_.wiring.attention.push_back(stage);
           return stage;
         });
  }

  void per_layer_inputs(const arch::PerLayerInputs& inputs) {
    outsourced(*parts_.plan.linears.begin(), enclave::Unmasked::as_input);
    step("per_layer_inputs", [this, &inputs](StageContext context, Stage next) {
      return enclave::spawn_per_layer_inputs(
          system_, std::move(context),
          std::make_shared<const model::PerLayerMixing>(inputs, parts_.plan.layer_count(),
                                                        parts_.tensors.per_layer_gain),
          std::move(next));
    });
  }

  void per_layer_input(const std::string& prefix, u32 index) {
    step(prefix + "per_layer_input", [this, index](StageContext context, Stage next) {
      return enclave::spawn_per_layer_input(
          system_, std::move(context),
          std::make_shared<const model::PerLayerBlock>(
              parts_.tensors.gains[index], parts_.plan.layers[index].per_layer_input->norm.eps),
          index, parts_.team, std::move(next));
    });
  }

  /// The second matrix of latent attention and what is around it.
  void latent(u32 index, const std::string& prefix) {
    const auto heads =
        std::make_shared<const model::LatentHeads>(parts_.plan.layers[index].attention);
    step(prefix + "latent", [this, heads](StageContext context, Stage next) {
      return enclave::spawn_latent(system_, std::move(context), heads, std::move(next));
    });
    outsourced(parts_.plan.linears.of(index, LinearKind::heads), enclave::Unmasked::as_input);
    step(prefix + "join", [this, heads](StageContext context, Stage next) {
      return enclave::spawn_heads(system_, std::move(context), heads, std::move(next));
    });
  }

  /// A matrix whose output is added to the residual stream, after a norm of its own if there is
  /// one; then also times `scalar`.
  void into_residual(const arch::Linear& linear, const std::string& norm_name,
                     const std::optional<arch::Norm>& norm, const std::vector<float>& gain,
                     float scalar = 1) {
    if (!norm) return outsourced(linear, enclave::Unmasked::into_residual);
    outsourced(linear, enclave::Unmasked::as_input);
    step(norm_name, [this, &gain, eps = norm->eps, scalar](StageContext context, Stage next) {
      return enclave::spawn_out_norm(system_, std::move(context), gain, eps, scalar,
                                     std::move(next));
    });
  }

  /// mask ─▶ outsource ─▶ unmask of one matrix.
  void outsourced(const arch::Linear& linear, enclave::Unmasked mode) {
    steps_.push_back([this, &linear, mode](Stage next) {
      const u32 id = linear.id.value;
      const std::string& name = linear.name;
      const enclave::OutsourcedLinear target{parts_.linears[id], parts_.pool, id,
                                             adapters_of(linear)};
      const auto unmask =
          keep(name + ".unmask", enclave::spawn_unmask(system_, context(name + ".unmask"), target,
                                                       mode, std::move(next)));
      const auto outsource =
          keep(name + ".outsource", enclave::spawn_outsource(system_, parts_.worker, unmask));
      return keep(name + ".mask",
                  enclave::spawn_mask(system_, context(name + ".mask"), target, outsource, unmask));
    });
  }

  std::shared_ptr<const enclave::LinearAdapters> adapters_of(const arch::Linear& linear) const {
    if (!parts_.adapters || !parts_.adapters->touches(linear.id)) return nullptr;
    const auto comes_before_mixer = {LinearKind::qkv, LinearKind::heads,
                                     LinearKind::per_layer_inputs};
    const bool wanted_only =
        linear.layer + 1 == parts_.plan.layer_count() &&
        std::count(comes_before_mixer.begin(), comes_before_mixer.end(), linear.kind) == 0;
    return std::make_shared<const enclave::LinearAdapters>(
        enclave::LinearAdapters{parts_.adapters, linear.id, wanted_only, parts_.team});
  }

  void norm(const std::string& name, const arch::Norm& norm, const std::vector<float>& gain) {
    step(name, [this, &gain, eps = norm.eps](StageContext context, Stage next) {
      return enclave::spawn_norm(system_, std::move(context), gain, eps, std::move(next));
    });
  }

  /// A stage of its own. `spawn` makes a handle that is a Stage, or more, of context and successor.
  template <class Spawn>
  void step(std::string name, Spawn spawn) {
    steps_.push_back([this, name = std::move(name), spawn = std::move(spawn)](Stage next) {
      return caf::actor_cast<Stage>(keep(name, spawn(context(name), std::move(next))));
    });
  }

  enclave::AttentionShape attention_shape(u32 index) const {
    enclave::AttentionShape shape;
    shape.attention = parts_.plan.layers[index].attention;
    const auto rope = shape.attention.rope;
    shape.heads = std::make_shared<const model::HeadPreparation>(
        shape.attention, parts_.tensors.gains[index], rope && parts_.plan.ropes[*rope].neighbours);
    shape.sinks = parts_.tensors.gains[index].sinks;
    shape.layout = parts_.kv;
    shape.layer = index;
    shape.last_layer = index + 1 == parts_.plan.layer_count();
    return shape;
  }

  enclave::DeltaNetShape delta_net_shape(u32 index) const {
    enclave::DeltaNetShape shape;
    shape.net = std::make_shared<const model::DeltaNet>(*parts_.plan.layers[index].delta_net,
                                                        parts_.tensors.gains[index].delta);
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
  std::vector<std::function<Stage(Stage)>> steps_; ///< front to back
  enclave::SamplerStage sampler_;                  ///< or the pooler
  Graph graph_;
};

} // namespace

Graph build_graph(caf::actor_system& system, const GraphParts& parts,
                  const enclave::Overseer& overseer) {
  return Builder(system, parts, overseer).build();
}

} // namespace talaria::pipeline
