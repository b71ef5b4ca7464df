#pragma once

#include <optional>
#include <vector>

#include "config/fields.hpp"
#include "config/pipeline_config.hpp"

namespace talaria::config {

/// Reads `workers:` and checks what only the list as a whole can show: names are unique, and the
/// primary workers hold every layer from 0 up, each once. How many layers there are is the model's
/// business; nothing is said here about the last one.
std::vector<WorkerNode> read_workers(const Value& value);

} // namespace talaria::config
