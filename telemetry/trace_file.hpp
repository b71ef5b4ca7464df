#pragma once

#include <istream>
#include <string>
#include <vector>

#include "core/integers.hpp"
#include "telemetry/intervals.hpp"
#include "telemetry/span_kind.hpp"
#include "telemetry/tracer.hpp"

namespace talaria::telemetry {

/// A span as read back. Times in ns from the beginning of the trace.
struct TraceSpan {
  SpanKind kind = SpanKind::embed;
  Interval when;
  SpanLabels labels;
  std::string process;
  std::string thread;
};

struct MaskStock {
  i64 time = 0;
  u64 bytes = 0;
};

/// What a Tracer wrote.
struct Trace {
  std::vector<TraceSpan> spans; ///< in the order of the file
  std::vector<MaskStock> stock;
  u64 dropped_spans = 0;
};

/// Reads a trace; spans of other programs are passed over. `name` is for errors.
/// @throws Error{usage} if it is no trace, or has no span of ours.
Trace read_trace(std::istream& in, const std::string& name);

} // namespace talaria::telemetry
