#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "pipeline/engine.hpp"

namespace talaria::cli {

/// `--lora DIR`: one adapter for all requests of a command.
class LoraFlag {
public:
  /// Adds the flag to `command`; its value lives in this object, which must stay where it is.
  CLI::Option* add_to(CLI::App& command);
  /// Reads the adapter, if one is given; opens the model for it. @throws Error{model}
  void load(pipeline::EngineOptions& options) const;
  /// What requests to an engine with these options take; null: none was given.
  model::AdapterPtr of(const pipeline::Engine& engine) const;

private:
  std::string folder_;
};

} // namespace talaria::cli
