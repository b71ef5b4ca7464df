#pragma once

#include <prometheus/metric_family.h>

#include <vector>

#include "telemetry/otlp_json.hpp"

namespace talaria::gateway {

/// What Prometheus is told, as OTLP has it: "vllm:" becomes "vllm.", sums lose "_total", and the
/// figures that OpenTelemetry's GenAI conventions know (gen_ai.server.request.duration,
/// .time_to_first_token, .time_per_output_token, gen_ai.client.token.usage) have those names and
/// attributes.
std::vector<telemetry::OtlpMetric>
otlp_figures(const std::vector<prometheus::MetricFamily>& families);

} // namespace talaria::gateway
