#include "settings/table.hpp"

#include <algorithm>
#include <iterator>

#include "settings/entries.hpp"
#include "settings/forms.hpp"
#include "settings/table_parts.hpp"

namespace talaria::settings {

namespace {

Setting workers_setting() {
  Setting setting;
  setting.key = "workers";
  setting.meaning = "the workers on other machines, or processes; without any, one inside this "
                    "process";
  setting.type = "list";
  setting.range = "entries as below";
  setting.read = [](const config::Value& value, const Reading& reading,
                    config::PipelineConfig& config) {
    config.workers = read_workers(value, reading);
  };
  setting.show = [](const config::PipelineConfig& config) {
    return config.workers.empty() ? std::string() : std::to_string(config.workers.size());
  };
  setting.copy = [](config::PipelineConfig& to, const config::PipelineConfig& from) {
    to.workers = from.workers;
  };
  setting.is_reloaded = true;
  return setting;
}

std::vector<Setting> whole_table() {
  std::vector<Setting> all = engine_settings();
  all.push_back(workers_setting());
  for (auto part : {serve_settings, operation_settings, session_settings}) {
    std::vector<Setting> rows = part();
    std::move(rows.begin(), rows.end(), std::back_inserter(all));
  }
  return all;
}

template <class Matches>
const Setting* first_row(const Matches& matches) {
  const auto found = std::find_if(table().begin(), table().end(), matches);
  return found == table().end() ? nullptr : &*found;
}

} // namespace

const std::vector<Setting>& table() {
  static const std::vector<Setting> all = whole_table();
  return all;
}

const Setting* find_setting(std::string_view key) {
  return first_row([key](const Setting& setting) { return setting.key == key; });
}

const Setting* find_flag(std::string_view flag) {
  return first_row(
      [flag](const Setting& setting) { return setting.flag != nullptr && setting.flag == flag; });
}

} // namespace talaria::settings
