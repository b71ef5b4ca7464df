#pragma once

#include <functional>
#include <string>

#include "cli/enclave/gateway_context.hpp"
#include "cli/reload_watch.hpp"
#include "pipeline/engine.hpp"

namespace talaria::cli {

/// What to do when the gateway's file has changed: reads it again, gives the engine what a running
/// gateway takes from it (settings/reload.hpp), and says what was taken and what has to wait for a
/// restart. A file with a mistake changes nothing; the mistake is logged. Not for two threads at
/// once; context and engine must outlive it.
std::function<void()> reloaded_workers(const GatewayContext& context, pipeline::Engine& engine,
                                       std::function<void(const std::string&)> log);

} // namespace talaria::cli
