#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "cli/interrupt.hpp"
#include "config/pipeline_config.hpp"
#include "settings/protection.hpp"

namespace talaria::cli {

/// What `talaria launch` gives the server it runs once all nodes are ready.
struct GatewayContext {
  const config::PipelineConfig& config;
  /// The gateway sets its own on_interrupt(), and then looks at interrupted(): the signal may have
  /// come before. `talaria stop` arrives here as well.
  InterruptWatch& interrupts;
  /// To be called once requests are taken; `launch --detach` returns then.
  std::function<void()> ready;
  /// Hands over what gives the health of the links, a JSON array of {name, state, round_trip_ms,
  /// in_flight, strikes}, for `talaria status`. Called from another thread until the gateway
  /// returns, or hands over nothing.
  std::function<void(std::function<std::string()>)> publish_workers;
  /// Where the trace goes when it ends; empty: into the folder `telemetry.trace`, if there is one.
  std::filesystem::path trace = {};
  /// What the command line permits although it weakens protection.
  settings::Allowances allowed = {};
};

/// Serves until it is interrupted; returns the exit status, and may throw Error.
using Gateway = std::function<int(GatewayContext&)>;

} // namespace talaria::cli
