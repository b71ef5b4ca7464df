#include "settings/resolve.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <system_error>

#include "config/problems.hpp"
#include "config/yaml_tree.hpp"
#include "core/error.hpp"
#include "settings/reading.hpp"
#include "settings/rules.hpp"
#include "settings/shipped_model.hpp"
#include "settings/table.hpp"

namespace talaria::settings {

namespace {

namespace fs = std::filesystem;

// One byte more than parse_yaml accepts, so that it sees a file that is too large.
constexpr std::streamsize kReadBytes = (std::streamsize{1} << 20) + 1;

std::string read_text_of(const fs::path& file) {
  std::error_code ignored;
  std::ifstream stream(file, std::ios::binary);
  if (fs::is_directory(file, ignored) || !stream)
    throw Error(Errc::io,
                fmt::format("{}: cannot be read; expected a pipeline file", file.string()));
  std::string text(kReadBytes, '\0');
  stream.read(text.data(), kReadBytes);
  if (stream.bad())
    throw Error(Errc::io, fmt::format("{}: reading failed; is the disk all right?", file.string()));
  text.resize(static_cast<std::size_t>(stream.gcount()));
  return text;
}

/// The text of a setting's variable; null if it has none, or it is not set.
const char* variable_of(const Setting& setting, const Environment& environment) {
  if (setting.variable == nullptr || !environment) return nullptr;
  const char* text = environment(setting.variable);
  return text != nullptr && *text != '\0' ? text : nullptr;
}

/// One reading of all sources.
class Assembly {
public:
  explicit Assembly(const Sources& sources) : sources_(sources), problems_(sources.file) {
    problems_.set_files_elsewhere(sources.files_elsewhere);
  }

  Resolved run() && {
    if (!sources_.file.empty() || sources_.text) read_file();
    read_environment();
    read_flags();
    if (sources_.file.empty() && !resolved_.origins.has("model"))
      resolved_.config.model = shipped_model();
    check_together(resolved_.config, resolved_.origins, problems_);
    problems_.throw_if_any();
    return std::move(resolved_);
  }

private:
  void read_file() {
    const fs::path folder = sources_.file.parent_path();
    resolved_.config.file = sources_.file;
    resolved_.config.launch.logs = folder / "logs";
    const auto is_given = [this](const Setting& setting) {
      return variable_of(setting, sources_.environment) != nullptr || has_flag(setting);
    };
    const std::string text = sources_.text ? *sources_.text : read_text_of(sources_.file);
    read_document(config::parse_yaml(text, sources_.file), {folder, resolved_.origins}, is_given,
                  resolved_.config, problems_);
  }

  void read_environment() {
    const config::Masking of_file = resolved_.config.masking;
    for (const Setting& setting : table())
      if (const char* text = variable_of(setting, sources_.environment))
        read_text(setting, text, {current_, resolved_.origins},
                  {Source::environment, config::kInEnvironment, setting.variable}, resolved_.config,
                  problems_);
    if (!sources_.file.empty()) check_not_weakened(of_file, resolved_.config.masking, problems_);
  }

  void read_flags() {
    for (const GivenFlag& given : sources_.flags) {
      const Setting* setting = find_flag(given.flag);
      if (setting == nullptr)
        throw Error(Errc::internal, given.flag + " is the flag of no setting");
      read_text(*setting, given.value, {current_, resolved_.origins},
                {Source::flag, config::kOnCommandLine, given.flag}, resolved_.config, problems_);
    }
  }

  bool has_flag(const Setting& setting) const {
    return setting.flag != nullptr &&
           std::any_of(sources_.flags.begin(), sources_.flags.end(),
                       [&](const GivenFlag& given) { return given.flag == setting.flag; });
  }

  const Sources& sources_;
  const fs::path current_; ///< what a shell means by a relative path
  config::Problems problems_;
  Resolved resolved_;
};

} // namespace

Resolved resolve(const Sources& sources) {
  return Assembly(sources).run();
}

config::PipelineConfig load_pipeline_config(const fs::path& file, const Environment& environment) {
  return resolve({file, std::nullopt, environment, {}}).config;
}

config::PipelineConfig parse_pipeline_config(std::string_view yaml, const fs::path& file) {
  return resolve({file, std::string(yaml), {}, {}}).config;
}

} // namespace talaria::settings
