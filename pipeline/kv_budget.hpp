#pragma once

#include <cstddef>
#include <memory>

#include "pipeline/engine.hpp"

namespace talaria::pipeline {

/// Memory for keys and values, and how it came about.
struct KvBudget {
  std::size_t bytes = 0;
  bool is_set = true;        ///< by pipeline.kv.memory
  std::size_t available = 0; ///< otherwise: what the machine has to spare
  std::size_t masks = 0;     ///< and what of it the stock of masks may take
};

/// Half of the memory that is available when the stock of masks is full, which takes half as much
/// again while it is refilled.
KvBudget kv_budget(const EngineOptions& options);

/// @throws Error{config} if they hold no sequence of this model
std::shared_ptr<kv::Store> make_kv_store(const arch::ModelPlan& plan, const EngineOptions& options,
                                         const KvBudget& budget);

} // namespace talaria::pipeline
