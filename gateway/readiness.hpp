#pragma once

#include <span>

#include "actors/cluster/placement.hpp"
#include "pipeline/engine.hpp"

namespace talaria::gateway {

/// Whether every column of every matrix has a worker that is ready.
/// @param placement  of the cluster; empty: one embedded worker
/// @param workers    as Engine::workers() reports them, in the order of the placement's nodes
bool every_layer_is_ready(const cluster::PlacementPlan& placement,
                          std::span<const pipeline::WorkerReport> workers);

/// @throws ApiError 503 with the code "engine_broken" if the engine can answer nothing any more: a
/// server in that state neither lives nor is ready, takes no request, and ends soon.
void require_live(const pipeline::Engine& engine);

} // namespace talaria::gateway
