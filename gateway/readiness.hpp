#pragma once

#include "pipeline/engine.hpp"

namespace talaria::gateway {

/// @throws ApiError 503 with the code "engine_broken" if the engine can answer nothing any more: a
/// server in that state neither lives nor is ready, takes no request, and ends soon.
void require_live(const pipeline::Engine& engine);

} // namespace talaria::gateway
