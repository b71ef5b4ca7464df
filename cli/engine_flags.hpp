#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "cli/setting_flags.hpp"
#include "config/pipeline_config.hpp"
#include "pipeline/engine.hpp"

namespace talaria::cli {

/// The flags that say which model to load and how, shared by the commands. A pipeline.yaml comes
/// first, environment variables (TALARIA_MODEL, ...) override it, flags override both
/// (settings/resolve.hpp).
class EngineFlags {
public:
  /// Adds the flags to `command`; their values live in this object, which must stay where it is.
  void add_to(CLI::App& command);
  /// The same without those that choose the scheme or write a trace, for a command that measures
  /// several schemes and may do without a model folder: then resolve() leaves it empty.
  void add_to_bench(CLI::App& command);

  /// The settings after all three sources. @throws Error{usage} or Error{config}.
  config::PipelineConfig resolve() const;
  /// The same with TARGET, a model folder or a pipeline.yaml, in the place of --model or --config.
  config::PipelineConfig resolve_for(const std::string& target) const;
  /// These settings as engine options. @throws Error{usage}: `clear` without --allow-clear.
  pipeline::EngineOptions engine_options(const config::PipelineConfig& config) const;

private:
  std::string config_file_;
  SettingFlags flags_;
  settings::Allowances allowed_;
  bool model_needed_ = true;
};

/// A line about workers or hints, on standard error.
void print_worker_line(const std::string& line);

/// What the operator should know once the engine is there, on standard error: what the scheme
/// leaks, and memory that could not be locked.
void print_warnings(const pipeline::Engine& engine);

/// For commands that go on with `integrity: none`.
inline constexpr const char* kUnverifiedWarning =
    "masking.integrity is none: workers' answers are not checked, so they may be wrong, and a "
    "worker that changes them on purpose learns about what they were for";

/// "1,2,3" or "1 2 3" to ids. @throws Error{usage} naming `flag` and the part that is not a number.
std::vector<u32> parse_token_list(const std::string& text, const std::string& flag);

} // namespace talaria::cli
