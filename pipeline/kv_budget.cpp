#include "pipeline/kv_budget.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.hpp"
#include "core/machine_memory.hpp"

namespace talaria::pipeline {

KvBudget kv_budget(const EngineOptions& options) {
  if (options.kv.memory_bytes != 0) return {options.kv.memory_bytes};
  constexpr std::size_t kUnknown = std::size_t{4} << 30;
  const std::size_t available = available_memory();
  if (available == 0) return {kUnknown};
  const std::size_t masks = 3 * options.pool.memory_bytes / 2;
  return {(available - std::min(available, masks)) / 2, false, available, masks};
}

namespace {

[[noreturn]] void too_little(const KvBudget& budget, std::size_t needed) {
  constexpr std::size_t kMiB = std::size_t{1} << 20;
  if (budget.is_set)
    throw Error(Errc::config, fmt::format("pipeline.kv.memory: {} bytes hold no sequence of this "
                                          "model; one of 64 tokens takes {}",
                                          budget.bytes, needed));
  throw Error(
      Errc::config,
      fmt::format("pipeline.kv.memory: auto leaves {} bytes for keys and values, and a sequence of "
                  "64 tokens takes {}: {} MiB are available, of which masks may take {} MiB; free "
                  "some, lower masking.pool_memory, or set pipeline.kv.memory",
                  budget.bytes, needed, budget.available / kMiB, budget.masks / kMiB));
}

} // namespace

std::shared_ptr<kv::Store> make_kv_store(const arch::ModelPlan& plan, const EngineOptions& options,
                                         const KvBudget& budget) {
  auto layout = std::make_shared<const kv::Layout>(plan, options.kv.format);
  const std::size_t needed = layout->bytes_for(64, 64);
  if (budget.bytes < needed) too_little(budget, needed); // a store of nothing is none
  auto store = std::make_shared<kv::Store>(std::move(layout), budget.bytes);
  if (positions_that_fit(*store, options.batch, options.padding) < 2) too_little(budget, needed);
  return store;
}

} // namespace talaria::pipeline
