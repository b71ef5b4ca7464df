#pragma once

#include <array>

#include "core/integers.hpp"
#include "telemetry/span_kind.hpp"

namespace talaria::telemetry {

/// What the spans of one kind took together.
struct StageTime {
  double seconds = 0;
  u64 spans = 0;
};

/// By SpanKind. Stages overlap: for several micro-batches at once, and a product contains its
/// copying and recombination.
using StageTimes = std::array<StageTime, kSpanKinds>;

} // namespace talaria::telemetry
