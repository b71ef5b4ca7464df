#include "settings/explain.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "settings/table.hpp"

namespace talaria::settings {

namespace {

constexpr std::size_t kWidestValue = 40;

Explanation explanation(const std::string& key, std::string value, const Resolved& resolved) {
  Explanation row;
  row.key = key;
  row.value = std::move(value);
  const Origin* origin = resolved.origins.find(key);
  if (origin != nullptr) {
    row.source = origin->source;
    if (origin->source == Source::file) row.at = origin->at;
  }
  row.where = where_text(origin, resolved.config.file);
  return row;
}

void add_workers(const Resolved& resolved, std::vector<Explanation>& rows) {
  const auto& workers = resolved.config.workers;
  for (std::size_t i = 0; i < workers.size(); ++i)
    for (const WorkerSetting& setting : worker_table())
      rows.push_back(explanation(fmt::format("workers[{}].{}", i, setting.key),
                                 setting.show(workers[i]), resolved));
}

} // namespace

std::vector<Explanation> explain(const Resolved& resolved) {
  std::vector<Explanation> rows;
  for (const Setting& setting : table()) {
    if (setting.key == "workers" && !resolved.config.workers.empty())
      add_workers(resolved, rows);
    else
      rows.push_back(
          explanation(std::string(setting.key), setting.show(resolved.config), resolved));
  }
  return rows;
}

std::string to_text(const std::vector<Explanation>& rows) {
  std::size_t key = 0;
  std::size_t value = 1;
  for (const Explanation& row : rows) {
    key = std::max(key, row.key.size());
    value = std::max(value, std::min(row.value.size(), kWidestValue));
  }
  std::string text;
  for (const Explanation& row : rows)
    text += fmt::format("{:<{}}  {:<{}}  {}\n", row.key, key, row.value.empty() ? "-" : row.value,
                        value, row.where);
  return text;
}

} // namespace talaria::settings
