#pragma once

#include <memory>
#include <string>
#include <vector>

#include "actors/enclave/attention_team.hpp"
#include "actors/enclave/mask_stage.hpp"
#include "actors/enclave/pooler_stage.hpp"
#include "actors/worker_interface.hpp"
#include "model/adapter/adapter_set.hpp"
#include "model/weights/quantized.hpp"
#include "pipeline/scheduler.hpp"
#include "remo/mask_pool.hpp"
#include "telemetry/tracer.hpp"

namespace talaria::pipeline {

/// Everything the stages of one model share.
struct GraphParts {
  arch::ModelPlan plan;
  std::shared_ptr<const model::EmbeddingTable> embeddings;
  std::shared_ptr<const model::EmbeddingTable> per_layer_embeddings; ///< null: none in the plan
  model::EnclaveTensors tensors;
  /// Of a plan without lm_head; null: it generates.
  std::shared_ptr<const enclave::PoolerShape> pooler;
  std::vector<std::shared_ptr<const remo::MaskedLinear>> linears; ///< by LinearId
  std::shared_ptr<remo::MaskPool> pool;                           ///< indexed by LinearId
  worker::Worker worker;
  telemetry::Tracer* tracer = nullptr;
  std::shared_ptr<enclave::AttentionTeam> team;
  std::shared_ptr<const kv::Layout> kv;              ///< of the plan's layers
  bool oblivious = false;                            ///< EngineOptions::oblivious
  std::shared_ptr<const model::AdapterSet> adapters; ///< null: none
};

/// The stages of a model, wired front to back (docs/architecture.md draws them).
struct Graph {
  struct Stage {
    std::string name;
    caf::actor actor;
  };
  Wiring wiring;             ///< for the scheduler
  std::vector<Stage> stages; ///< all of them, front to back, to be ended with the engine
};

/// Spawns one actor per stage and layer. Nothing flows until the scheduler knows the wiring.
Graph build_graph(caf::actor_system& system, const GraphParts& parts,
                  const enclave::Overseer& overseer);

} // namespace talaria::pipeline
