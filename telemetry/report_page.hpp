#pragma once

#include <string>

#include "telemetry/trace_report.hpp"

namespace talaria::telemetry {

/// The figures of a report as one JSON object: what the page draws, or, without `pictures`, what is
/// left of that without waterfalls and courses. Times in microseconds.
std::string report_json(const TraceReport& report, bool pictures);

/// One HTML file that shows them and asks nothing of any network. `title` may be any text.
std::string report_page(const TraceReport& report, const std::string& title);

} // namespace talaria::telemetry
