#pragma once

#include <filesystem>
#include <vector>

#include "config/fields.hpp"
#include "config/pipeline_config.hpp"

namespace talaria::config {

/// Reads `workers:` and checks what only the list as a whole can show: names and addresses are
/// unique, and the primary workers hold every column of every layer from 0 up, each once. How many
/// layers there are is the model's business; see check_layer_count().
std::vector<WorkerNode> read_workers(const Value& value, const std::filesystem::path& folder);

} // namespace talaria::config
