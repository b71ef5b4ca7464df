#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/integers.hpp"

namespace talaria::telemetry {

/// A name for a request, random, so that two runs share none; never 0.
u64 new_trace_id();

/// 16 hexadecimal digits, as ids are written everywhere.
std::string to_hex(u64 trace_id);

/// Where in a trace a request stands (W3C Trace Context).
struct TraceContext {
  u64 high = 0, low = 0; ///< of the trace's id; `low` is the request's name here
  u64 parent = 0;        ///< the caller's span; 0: none
  bool sampled = true;   ///< the caller keeps its own spans of this trace
};

/// What a `traceparent` header says. Its trace is known here by its last 64 bits, as other tracers
/// with short ids take them. Nothing if it is malformed, or if they are zero.
std::optional<TraceContext> parse_traceparent(std::string_view header) noexcept;

} // namespace talaria::telemetry
