#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "config/fields.hpp"
#include "config/pipeline_config.hpp"
#include "config/scalars.hpp"

namespace talaria::config {

/// One entry of `workers:`, and where to point.
struct WorkerEntry {
  WorkerNode node;
  std::string key; ///< workers[i]
  Position name_at, address_at, layers_at, columns_at;
  std::optional<LayerRange> layers; ///< nothing if they, its columns or its role cannot be read
};

/// Reads one entry; `folder` is what paths of local nodes are relative to.
WorkerEntry read_worker_entry(const Value& value, const std::filesystem::path& folder);

} // namespace talaria::config
