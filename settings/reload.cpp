#include "settings/reload.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include "settings/table.hpp"

namespace talaria::settings {

namespace {

using config::PipelineConfig;
using config::WorkerNode;

/// What a gateway knows of a worker.
constexpr std::array<std::string_view, 7> kSeenByGateway{"name", "address",  "layers",   "columns",
                                                         "role", "tls_name", "addresses"};

std::string seen_of(const WorkerNode& worker) {
  std::string text;
  for (const WorkerSetting& setting : worker_table())
    if (std::count(kSeenByGateway.begin(), kSeenByGateway.end(), setting.key) > 0)
      text += std::string(setting.key) + ": " + setting.show(worker) + "\n";
  return text;
}

bool same_workers(const PipelineConfig& a, const PipelineConfig& b) {
  return std::equal(a.workers.begin(), a.workers.end(), b.workers.begin(), b.workers.end(),
                    [](const WorkerNode& one, const WorkerNode& other) {
                      return seen_of(one) == seen_of(other);
                    });
}

bool is_same(const Setting& setting, const PipelineConfig& a, const PipelineConfig& b) {
  return setting.key == "workers" ? same_workers(a, b) : setting.show(a) == setting.show(b);
}

} // namespace

Reload reload(const PipelineConfig& running, const PipelineConfig& file) {
  Reload result;
  result.config = running;
  for (const Setting& setting : table()) {
    if (is_same(setting, running, file)) continue;
    const bool begins_or_ends =
        setting.key == "workers" && running.workers.empty() != file.workers.empty();
    if (setting.is_reloaded && !begins_or_ends) {
      setting.copy(result.config, file);
      result.changed.emplace_back(setting.key);
    } else {
      result.ignored.emplace_back(setting.key);
    }
  }
  return result;
}

} // namespace talaria::settings
