#pragma once

#include <CLI/CLI.hpp>
#include <initializer_list>
#include <string>
#include <vector>

#include "settings/protection.hpp"
#include "settings/resolve.hpp"
#include "settings/setting.hpp"

namespace talaria::cli {

/// Flags of the table of settings (settings/table.hpp) on a command, and those that were given.
class SettingFlags {
public:
  /// Adds the flags of these groups, with ranges and defaults in their help. This object must stay
  /// where it is until the command line is parsed.
  void add_to(CLI::App& command, std::initializer_list<settings::FlagGroup> groups);
  /// Adds one of them alone.
  void add_flag_to(CLI::App& command, const settings::Setting& setting);

  const std::vector<settings::GivenFlag>& given() const { return given_; }

private:
  std::vector<settings::GivenFlag> given_;
};

/// Settings of TARGET, a pipeline.yaml, a model folder or a GGUF file, with the environment and
/// these flags. Empty: none. @throws Error{config}
settings::Resolved resolve_target(const std::string& target,
                                  std::vector<settings::GivenFlag> flags);

/// Adds the flags that permit less protection (settings/protection.hpp) to a command that serves;
/// `allowed` must outlive the parsing.
void add_allowances(CLI::App& command, settings::Allowances& allowed);
/// Those that are set, for another start of this program.
std::vector<std::string> arguments_of(const settings::Allowances& allowed);

} // namespace talaria::cli
