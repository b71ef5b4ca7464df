#include "pipeline/graph.hpp"

#include "actors/enclave/activation_stage.hpp"
#include "actors/enclave/attention_stage.hpp"
#include "actors/enclave/embed_stage.hpp"
#include "actors/enclave/norm_stage.hpp"
#include "actors/enclave/outsource_stage.hpp"
#include "actors/enclave/sampler_stage.hpp"
#include "actors/enclave/unmask_stage.hpp"

namespace talaria::pipeline {

using enclave::Stage;
using enclave::StageContext;
using model::LinearKind;

namespace {

/// Builds the chain back to front: every stage is born knowing its successor.
class Builder {
public:
  Builder(caf::actor_system& system, const GraphParts& parts, const enclave::Overseer& overseer)
      : system_(system), parts_(parts), overseer_(overseer) {}

  Graph build() {
    const model::ModelConfig& config = parts_.config;
    sampler_ =
        keep("sampler", enclave::spawn_sampler(system_, context("sampler"), parts_.oblivious));
    Stage next = caf::actor_cast<Stage>(sampler_);
    next = outsourced(0, LinearKind::lm_head, enclave::Unmasked::as_input, next);
    next = norm("final_norm", next);
    for (u32 layer = config.layers; layer-- > 0;) next = decoder_layer(layer, next);
    graph_.wiring.entrance = keep(
        "embed", enclave::spawn_embed(system_, context("embed"), parts_.embeddings, config.hidden,
                                      next, parts_.oblivious ? parts_.team : nullptr));
    graph_.wiring.sampler = sampler_;
    return std::move(graph_);
  }

private:
  Stage decoder_layer(u32 layer, Stage next) {
    const std::string prefix = "layers." + std::to_string(layer) + ".";
    next = outsourced(layer, LinearKind::down, enclave::Unmasked::into_residual, next);
    next = keep(prefix + "activation",
                enclave::spawn_activation(system_, context(prefix + "activation"),
                                          parts_.config.intermediate, next));
    next = outsourced(layer, LinearKind::gate_up, enclave::Unmasked::as_input, next);
    next = norm(prefix + "mlp_norm", next);
    next = outsourced(layer, LinearKind::o, enclave::Unmasked::into_residual, next);
    const auto attention =
        keep(prefix + "attention",
             enclave::spawn_attention(system_, context(prefix + "attention"),
                                      attention_shape(layer), parts_.team, next, sampler_));
    graph_.wiring.attention.push_back(attention);
    next = outsourced(layer, LinearKind::qkv, enclave::Unmasked::as_input,
                      caf::actor_cast<Stage>(attention));
    return norm(prefix + "attention_norm", next);
  }

  /// mask ─▶ outsource ─▶ unmask of one matrix, in front of `next`.
  Stage outsourced(u32 layer, LinearKind kind, enclave::Unmasked mode, Stage next) {
    const auto id = model::linear_id(parts_.config, layer, kind);
    const std::string name = model::linear_name(parts_.config, id);
    const enclave::OutsourcedLinear target{parts_.linears[id.value], parts_.pool, id.value};
    const auto unmask =
        keep(name + ".unmask", enclave::spawn_unmask(system_, context(name + ".unmask"), target,
                                                     mode, parts_.worker, std::move(next)));
    const auto outsource =
        keep(name + ".outsource", enclave::spawn_outsource(system_, parts_.worker, unmask));
    return keep(name + ".mask",
                enclave::spawn_mask(system_, context(name + ".mask"), target, outsource, unmask));
  }

  Stage norm(const std::string& name, Stage next) {
    return keep(
        name, enclave::spawn_norm(system_, context(name), parts_.config.rms_eps, std::move(next)));
  }

  enclave::AttentionShape attention_shape(u32 layer) const {
    const model::ModelConfig& config = parts_.config;
    enclave::AttentionShape shape;
    shape.heads = config.heads;
    shape.kv_heads = config.kv_heads;
    shape.head_dim = config.head_dim;
    shape.window = config.sliding_window.value_or(0);
    shape.eps = config.rms_eps;
    if (config.qk_norm) {
      const auto slice = [&](const std::vector<float>& all) {
        const auto begin = all.begin() + static_cast<std::ptrdiff_t>(layer * config.head_dim);
        return std::vector<float>(begin, begin + config.head_dim);
      };
      shape.q_norm = slice(parts_.tensors.q_norm);
      shape.k_norm = slice(parts_.tensors.k_norm);
    }
    shape.last_layer = layer + 1 == config.layers;
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
