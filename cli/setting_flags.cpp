#include "cli/setting_flags.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "model/weights/gguf.hpp"
#include "settings/table.hpp"

namespace talaria::cli {

namespace {

using settings::Setting;

std::string help_of(const Setting& setting) {
  if (setting.switched_on != nullptr) return setting.meaning;
  std::string bounds = setting.range;
  if (!setting.standard.empty())
    bounds += fmt::format("{}default: {}", bounds.empty() ? "" : "; ", setting.standard);
  return bounds.empty() ? setting.meaning : fmt::format("{} ({})", setting.meaning, bounds);
}

} // namespace

void SettingFlags::add_to(CLI::App& command, std::initializer_list<settings::FlagGroup> groups) {
  for (const Setting& setting : settings::table())
    if (setting.flag != nullptr && std::count(groups.begin(), groups.end(), setting.group) > 0)
      add_flag_to(command, setting);
}

void SettingFlags::add_flag_to(CLI::App& command, const Setting& setting) {
  const std::string name = setting.flag;
  if (setting.switched_on != nullptr)
    command.add_flag_callback(
        name,
        [this, name, value = setting.switched_on] {
          given_.push_back({name, value});
        },
        help_of(setting));
  else
    command.add_option_function<std::string>(
        name,
        [this, name](const std::string& value) {
          given_.push_back({name, value});
        },
        help_of(setting));
}

settings::Resolved resolve_target(const std::string& target,
                                  std::vector<settings::GivenFlag> flags) {
  const bool is_model = std::filesystem::is_directory(target) || model::names_gguf(target);
  std::filesystem::path file;
  if (is_model)
    flags.push_back({"--model", target});
  else
    file = target;
  return settings::resolve({file, std::nullopt, ::getenv, std::move(flags)});
}

void add_allowances(CLI::App& command, settings::Allowances& allowed) {
  for (const settings::Weakness& weakness : settings::weaknesses())
    command.add_flag(weakness.flag, allowed.*weakness.allowed, weakness.flag_meaning);
}

std::vector<std::string> arguments_of(const settings::Allowances& allowed) {
  std::vector<std::string> flags;
  for (const settings::Weakness& weakness : settings::weaknesses())
    if (allowed.*weakness.allowed) flags.emplace_back(weakness.flag);
  return flags;
}

} // namespace talaria::cli
