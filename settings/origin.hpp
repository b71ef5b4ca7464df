#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "config/problems.hpp"

namespace talaria::settings {

/// Where a value came from; each overrides those before it.
enum class Source { standard, file, environment, flag };

/// "default", "file", "environment" or "flag".
const char* to_string(Source source) noexcept;

struct Origin {
  Source source = Source::standard;
  config::Position at;  ///< in the file, or config::kInEnvironment, config::kOnCommandLine
  std::string name;     ///< of the variable or the flag
  bool readable = true; ///< false: there is a problem with the text itself
};

/// Origins by key ("pipeline.max_rows", "workers[0].layers"). Sections that stand in the file
/// ("pipeline") are there as well; what kept its default is not.
class Origins {
public:
  void set(const std::string& key, Origin origin) { found_[key] = std::move(origin); }
  /// Null for a setting that kept its default, and for a section that is not in the file.
  const Origin* find(const std::string& key) const;
  bool has(const std::string& key) const { return find(key) != nullptr; }
  /// Where to point at when the value of `key` is wrong: its place, or that of the first section
  /// around it that is in the file, or the first line.
  config::Position place_of(std::string key) const;
  /// What to call it then: the variable or the flag that gave it, or the key.
  std::string name_of(const std::string& key) const;

private:
  std::map<std::string, Origin> found_;
};

/// "pipeline.yaml:3:5", "TALARIA_THREADS", "--threads" or "default".
std::string where_text(const Origin* origin, const std::filesystem::path& file);

} // namespace talaria::settings
