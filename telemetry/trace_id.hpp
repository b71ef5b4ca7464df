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

/// The id in a `traceparent` header (W3C Trace Context): the last 64 bits of its trace-id, as other
/// tracers with short ids take them. Nothing if it is malformed, or if they are zero.
std::optional<u64> parse_traceparent(std::string_view header) noexcept;

} // namespace talaria::telemetry
