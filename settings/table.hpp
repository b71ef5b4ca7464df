#pragma once

#include <string_view>
#include <vector>

#include "settings/setting.hpp"

namespace talaria::settings {

/// Every setting there is, in the order in which documentation and messages list them; settings of
/// one section stand together. What reads files, variables and flags, `talaria config`, the help of
/// the flags and docs/configuration.md all go by it. `workers` is one row: see worker_table().
const std::vector<Setting>& table();

/// The keys of an entry of `workers:`.
const std::vector<WorkerSetting>& worker_table();

/// The row of `key`; null if there is none.
const Setting* find_setting(std::string_view key);
/// The row whose flag this is ("--threads"); null if there is none.
const Setting* find_flag(std::string_view flag);

/// The names that `masking.scheme` may have, the strongest protection first.
std::vector<std::string_view> scheme_names();

} // namespace talaria::settings
