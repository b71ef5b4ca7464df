#pragma once

#include <memory>

#include "config/pipeline_config.hpp"
#include "telemetry/otlp_exporter.hpp"

namespace talaria::cli {

/// What sends spans and figures to the collector of `telemetry.otlp`; null without one.
/// @throws Error{config} naming the setting or the file that is wrong
std::shared_ptr<telemetry::OtlpExporter> otlp_exporter(const config::PipelineConfig& settings);

} // namespace talaria::cli
