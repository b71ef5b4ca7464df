#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "settings/setting.hpp"

namespace talaria::settings {

/// Reads one value by its row and keeps where it came from under `key`.
template <class Target>
void read_row(const SettingOf<Target>& setting, const config::Value& value, const Reading& reading,
              Target& target, const std::string& key, Origin origin) {
  const std::size_t before = value.problems.count();
  setting.read(value, reading, target);
  origin.readable = value.problems.count() == before;
  reading.origins.set(key, std::move(origin));
}

/// Reads the mapping of a file by table(). Unknown, repeated and missing keys are problems, with
/// the key that was probably meant.
/// @param is_given  whether a variable or a flag gives this setting, so that the file need not
void read_document(const config::YamlNode& root, const Reading& reading,
                   const std::function<bool(const Setting&)>& is_given,
                   config::PipelineConfig& config, config::Problems& problems);

/// Reads a value that stands in a variable or a flag, `origin.name`, by its row.
void read_text(const Setting& setting, const std::string& text, const Reading& reading,
               Origin origin, config::PipelineConfig& config, config::Problems& problems);

} // namespace talaria::settings
