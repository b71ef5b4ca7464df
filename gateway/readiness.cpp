#include "gateway/readiness.hpp"

#include "gateway/api_error.hpp"

namespace talaria::gateway {

void require_live(const pipeline::Engine& engine) {
  if (const auto error = engine.broken()) throw ApiError(503, error->what(), {}, "engine_broken");
}

} // namespace talaria::gateway
