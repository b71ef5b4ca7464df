#include "gateway/readiness.hpp"

#include <algorithm>

#include "gateway/api_error.hpp"

namespace talaria::gateway {

bool every_layer_is_ready(const cluster::PlacementPlan& placement,
                          std::span<const pipeline::WorkerReport> workers) {
  const auto ready = [](const pipeline::WorkerReport& worker) { return worker.state == "ready"; };
  if (placement.empty()) return std::any_of(workers.begin(), workers.end(), ready);
  const auto held = [&](const cluster::Shard& shard) {
    return std::any_of(shard.holders.begin(), shard.holders.end(),
                       [&](const cluster::Holder& holder) {
                         return holder.node < workers.size() && ready(workers[holder.node]);
                       });
  };
  return std::all_of(placement.begin(), placement.end(), [&](const cluster::MatrixPlan& matrix) {
    return std::all_of(matrix.shards.begin(), matrix.shards.end(), held);
  });
}

void require_live(const pipeline::Engine& engine) {
  if (const auto error = engine.broken()) throw ApiError(503, error->what(), {}, "engine_broken");
}

} // namespace talaria::gateway
