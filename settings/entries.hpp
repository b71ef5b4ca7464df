#pragma once

#include <vector>

#include "settings/setting.hpp"

namespace talaria::settings {

/// Reads `workers:` by worker_table(), and checks what only the list as a whole can show
/// (settings/placement.hpp).
std::vector<config::WorkerNode> read_workers(const config::Value& value, const Reading& reading);

/// Reads one entry of it, whose key is that of `value` ("workers[0]").
config::WorkerNode read_worker(const config::Value& value, const Reading& reading);

} // namespace talaria::settings
