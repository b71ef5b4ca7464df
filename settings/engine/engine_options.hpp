#pragma once

#include <functional>
#include <optional>
#include <string>

#include "config/pipeline_config.hpp"
#include "pipeline/engine.hpp"

namespace talaria::settings {

/// The options of an engine with these settings, which settings::resolve() has checked. Nothing is
/// loaded or changed; see set_up_process(). `log` gets lines about workers and hints, on any
/// thread.
/// @throws Error{usage} or Error{config} for names that resolve() would have refused.
pipeline::EngineOptions engine_options(const config::PipelineConfig& config,
                                       const std::function<void(const std::string&)>& log);

/// What the model is to be served for; nothing: what its files say.
std::optional<model::Task> task_of(const config::PipelineConfig& config);

} // namespace talaria::settings
