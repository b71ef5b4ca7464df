#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "cli/interrupt.hpp"
#include "config/pipeline_config.hpp"
#include "settings/protection.hpp"

namespace talaria::cli {

/// What serving needs besides the engine.
struct GatewayContext {
  const config::PipelineConfig& config;
  /// The gateway sets its own on_interrupt(), and then looks at interrupted(): the signal may have
  /// come before.
  InterruptWatch& interrupts;
  /// To be called once requests are taken; `talaria launch` says then that all is ready.
  std::function<void()> ready;
  /// Hands over what gives the health of the links, a JSON array of {name, state, round_trip_ms,
  /// in_flight, strikes}, for `talaria status`. Called from another thread until the gateway
  /// returns, or hands over nothing.
  std::function<void(std::function<std::string()>)> publish_workers;
  /// Where the trace goes when it ends; empty: into the folder `telemetry.trace`, if there is one.
  std::filesystem::path trace = {};
  /// The settings as file, environment and flags give them now; null: nothing is reloaded.
  std::function<config::PipelineConfig()> read_again = {};
  /// What the command line permits although it weakens protection.
  settings::Allowances allowed = {};
};

} // namespace talaria::cli
