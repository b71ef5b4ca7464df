#include "cli/enclave/reloaded_workers.hpp"

#include <fmt/format.h>

#include <exception>
#include <memory>
#include <utility>

#include "settings/engine/engine_options.hpp"
#include "settings/reload.hpp"

namespace talaria::cli {

namespace {

void take_over(const settings::Reload& reload, pipeline::Engine& engine) {
  config::check_layer_count(reload.config, engine.plan().layer_count());
  const auto options = settings::engine_options(reload.config, {});
  if (options.cluster) engine.set_workers(options.cluster->nodes, options.cluster->policy);
}

} // namespace

std::function<void()> reloaded_workers(const GatewayContext& context, pipeline::Engine& engine,
                                       std::function<void(const std::string&)> log) {
  auto running = std::make_shared<config::PipelineConfig>(context.config);
  return [&context, &engine, log = std::move(log), running] {
    const std::string file = running->file.string();
    if (!context.read_again || file.empty())
      return log("talaria: there is no file whose settings could be read again");
    try {
      // A FIFO would hold this thread until somebody writes, and the process at its end with it.
      std::error_code ignored;
      if (!std::filesystem::is_regular_file(file, ignored))
        throw Error(Errc::io, "is no regular file, and only such is read again");
      settings::Reload reload = settings::reload(*running, context.read_again());
      if (!reload.changed.empty()) {
        take_over(reload, engine);
        *running = std::move(reload.config);
        log(fmt::format("{}: reloaded: {}", file, fmt::join(reload.changed, ", ")));
      }
      if (!reload.ignored.empty())
        log(fmt::format("{}: has changed, and counts after a restart: {}", file,
                        fmt::join(reload.ignored, ", ")));
      if (reload.changed.empty() && reload.ignored.empty())
        log(fmt::format("{}: no setting has changed", file));
    } catch (const std::exception& error) { // of this thread it would end the gateway
      log(fmt::format("{}: not reloaded, everything stays as it is: {}", file, error.what()));
    }
  };
}

} // namespace talaria::cli
