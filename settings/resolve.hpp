#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/pipeline_config.hpp"
#include "settings/origin.hpp"

namespace talaria::settings {

/// The value of an environment variable; null or empty: not set.
using Environment = std::function<const char*(const char*)>;

/// A flag of the command line that table() knows, and its value.
struct GivenFlag {
  std::string flag; ///< "--max-rows"
  std::string value;
};

/// Where settings come from; each overrides those before it.
struct Sources {
  std::filesystem::path file; ///< empty: none
  /// What the file says, in the place of reading it; `file` is used in messages and for paths.
  std::optional<std::string> text;
  Environment environment; ///< null: none
  std::vector<GivenFlag> flags;
  /// The files that it names are another machine's, and need not be here.
  bool files_elsewhere = false;
};

/// The settings of one start of a program, and where each came from.
struct Resolved {
  config::PipelineConfig config;
  Origins origins;
};

/// Reads file, environment and flags by table() and checks them, alone and together. Relative paths
/// are relative to the file's folder; those of variables and flags to the current one. Without a
/// file, and without anything that names a model, it is the shipped one, or empty.
/// @throws Error{config} with every problem found, one line each:
///   "file:line:column: KEY: what is wrong; what was expected", "environment: VARIABLE: ..." or
///   "command line: FLAG: ...". Unknown, repeated and missing keys, wrong types, values out of
///   range, and what does not fit together (settings/rules.hpp, settings/placement.hpp).
/// Error{io} if the file cannot be read.
Resolved resolve(const Sources& sources);

/// The settings of a file and the environment.
config::PipelineConfig load_pipeline_config(const std::filesystem::path& file,
                                            const Environment& environment);

/// The settings of a file that says `yaml`.
config::PipelineConfig parse_pipeline_config(std::string_view yaml,
                                             const std::filesystem::path& file);

} // namespace talaria::settings
