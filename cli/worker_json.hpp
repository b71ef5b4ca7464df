#pragma once

#include <nlohmann/json_fwd.hpp>

#include "pipeline/engine.hpp"

namespace talaria::cli {

/// One entry of "workers", in the output of `run --json` and of `status --json`.
nlohmann::json worker_json(const pipeline::WorkerReport& worker);

} // namespace talaria::cli
