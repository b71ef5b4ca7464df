#pragma once

#include <ostream>

#include "telemetry/recording.hpp"

namespace talaria::telemetry {

/// Writes Chrome trace JSON (opens in Perfetto: process = node, thread = stage). A thread shows one
/// span at a time: what overlaps goes to further lanes, "product (2)". The time that a span's
/// message waited becomes a span of its own, SpanKind::mailbox, on the thread "mailboxes".
void write_trace(std::ostream& out, Recording recording);

} // namespace talaria::telemetry
