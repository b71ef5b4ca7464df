#pragma once

#include <istream>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/integers.hpp"
#include "telemetry/intervals.hpp"
#include "telemetry/recording.hpp"

namespace talaria::telemetry {

/// A span as read back. Times in ns from the beginning of the trace.
struct TraceSpan {
  SpanKind kind = SpanKind::embed;
  Interval when;
  SpanLabels labels;
  std::string process;
  std::string thread; ///< of a mailbox: the stage whose it is
};

struct MaskStock {
  i64 time = 0;
  u64 bytes = 0;
  std::string process;
};

/// What a Tracer wrote.
struct Trace {
  std::vector<TraceSpan> spans; ///< in the order of the file
  std::vector<MaskStock> stock;
  std::unordered_map<u64, std::vector<u64>> carried; ///< requests by micro-batch, if several
  u64 dropped_spans = 0;
  i64 wall_origin = 0; ///< ns since 1970 at time 0; 0: unknown
};

/// Reads a trace; spans of other programs are passed over. `name` is for errors.
/// @throws Error{usage} if it is no trace, or has no span of ours.
Trace read_trace(std::istream& in, const std::string& name);

} // namespace talaria::telemetry
