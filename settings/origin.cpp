#include "settings/origin.hpp"

#include <fmt/format.h>

namespace talaria::settings {

const char* to_string(Source source) noexcept {
  switch (source) {
  case Source::standard:
    return "default";
  case Source::file:
    return "file";
  case Source::environment:
    return "environment";
  case Source::flag:
    return "flag";
  }
  return "default";
}

const Origin* Origins::find(const std::string& key) const {
  const auto found = found_.find(key);
  return found == found_.end() ? nullptr : &found->second;
}

config::Position Origins::place_of(std::string key) const {
  for (;;) {
    if (const Origin* origin = find(key)) return origin->at;
    const std::size_t dot = key.rfind('.');
    if (dot == std::string::npos) return {1, 1};
    key.resize(dot);
  }
}

std::string Origins::name_of(const std::string& key) const {
  const Origin* origin = find(key);
  return origin == nullptr || origin->name.empty() ? key : origin->name;
}

std::string where_text(const Origin* origin, const std::filesystem::path& file) {
  if (origin == nullptr) return to_string(Source::standard);
  if (origin->source == Source::file)
    return fmt::format("{}:{}:{}", file.string(), origin->at.line, origin->at.column);
  return origin->name;
}

} // namespace talaria::settings
