#pragma once

#include <vector>

#include "settings/setting.hpp"

namespace talaria::settings {

/// Checks what only the list of workers as a whole can show: names and addresses are unique, and
/// the primary workers hold every column of every layer from 0 up, each once. How many layers there
/// are is the model's business; see config::check_layer_count(). `list` is `workers:` itself.
void check_workers(const std::vector<config::WorkerNode>& workers, const config::Value& list,
                   const Origins& origins);

} // namespace talaria::settings
