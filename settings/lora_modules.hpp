#pragma once

#include <vector>

#include "settings/setting.hpp"

namespace talaria::settings {

/// At most 256 adapters with names of their own: entries { name, path, keys }, or NAME=PATH as
/// flags have them.
Form<std::vector<config::LoraModule>> lora_modules();

} // namespace talaria::settings
