#include "cli/launch_reload.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <nlohmann/json.hpp>
#include <vector>

#include "cli/reload_watch.hpp"
#include "core/error.hpp"

namespace talaria::cli {

namespace {

/// Those of `names` that the gateway still has a link to. All, if it does not say.
std::vector<std::string> still_linked(const std::vector<std::string>& names,
                                      const std::string& links) {
  const auto list = nlohmann::json::parse(links, nullptr, /*allow_exceptions=*/false);
  if (!list.is_array()) return names;
  std::vector<std::string> out;
  for (const std::string& name : names)
    if (std::any_of(list.begin(), list.end(), [&](const nlohmann::json& link) {
          return link.is_object() && link.value("name", "") == name;
        }))
      out.push_back(name);
  return out;
}

config::PipelineConfig config_of_nodes(const config::PipelineConfig& running,
                                       const LaunchReload& reload) {
  // A FIFO would hold this thread until somebody writes, and the process at its end with it.
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(running.file, ignored))
    throw Error(Errc::io, "is no regular file, and only such is read again");
  config::PipelineConfig config = reload.read_again();
  if (config.model != running.model)
    throw Error(Errc::config, "another model counts after a restart");
  if (config.workers.empty() != running.workers.empty())
    throw Error(Errc::config, "whether there are workers counts after a restart");
  config.launch = running.launch;
  config.tls = running.tls;
  return config;
}

/// Ends nodes as the gateway lets go of them, which it does when others have loaded what they held.
/// Another change of the file, which may want them back, is left to the next call.
void let_go(std::vector<std::string> names, const std::filesystem::path& file, const FileLook& read,
            const LaunchReload& reload, launch::Supervisor& supervisor) {
  while (!names.empty()) {
    const std::vector<std::string> linked =
        reload.links ? still_linked(names, reload.links()) : std::vector<std::string>();
    std::vector<std::string> free;
    std::ranges::set_difference(names, linked, std::back_inserter(free));
    supervisor.retire(free);
    names = linked;
    if (names.empty() || reload.wait() || FileLook::at(file) != read) return;
  }
}

} // namespace

void reload_nodes(const config::PipelineConfig& running, const LaunchReload& reload,
                  launch::Supervisor& supervisor) {
  try {
    const FileLook read = FileLook::at(running.file);
    let_go(supervisor.update(config_of_nodes(running, reload)), running.file, read, reload,
           supervisor);
  } catch (const std::exception& error) { // of this thread it would end the launch
    reload.tell(
        fmt::format("{}: the nodes stay as they are: {}", running.file.string(), error.what()));
  }
}

} // namespace talaria::cli
