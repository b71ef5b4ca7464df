#include "settings/entries.hpp"

#include <fmt/format.h>

#include "settings/placement.hpp"

namespace talaria::settings {

namespace {

constexpr std::size_t kMaxWorkers = 1024;

} // namespace

std::vector<config::WorkerNode> read_workers(const config::Value& value, const Reading& reading) {
  std::vector<config::WorkerNode> workers;
  const std::vector<config::Value> items = config::list_items(value);
  if (items.size() > kMaxWorkers) {
    value.refuse(fmt::format("has {} entries; expected at most {}", items.size(), kMaxWorkers));
    return workers;
  }
  for (const config::Value& item : items) workers.push_back(read_worker(item, reading));
  check_workers(workers, value, reading.origins);
  return workers;
}

} // namespace talaria::settings
