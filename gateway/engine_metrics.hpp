#pragma once

#include <prometheus/metric_family.h>

#include <map>
#include <string>
#include <vector>

#include "pipeline/engine.hpp"

namespace talaria::gateway {

using MetricLabels = std::map<std::string, std::string>;

/// A family of one counter or gauge.
prometheus::MetricFamily single(const char* name, const char* help, prometheus::MetricType type,
                                const MetricLabels& labels, double value);

/// What an engine tells of its workers, masks, memory, padding and stages, now.
/// @param labels  of figures that vLLM has too
/// @param coarse  leaves out what would undo masking.padding
void add_engine_metrics(const pipeline::Engine& engine, const MetricLabels& labels, bool coarse,
                        std::vector<prometheus::MetricFamily>& out);

/// Memory, CPU time, descriptors and start of this process, by the names that Prometheus' own
/// clients use. What /proc does not tell is left out.
void add_process_metrics(std::vector<prometheus::MetricFamily>& out);

} // namespace talaria::gateway
