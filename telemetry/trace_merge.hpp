#pragma once

#include <vector>

#include "telemetry/recording.hpp"
#include "telemetry/trace_file.hpp"

namespace talaria::telemetry {

/// One recording of what several processes traced at the same time, for one file. The first trace,
/// the enclave's, gives the clock; the others are moved onto it. A product that both ends drew says
/// how far: the enclave drew it where the clocks' offset, as its heartbeats measured it, puts it.
/// A trace that has none in common is moved by what both wall clocks said.
///
/// What two traces both hold is kept once, as the first has it: spans of the same kind, process,
/// micro-batch and matrix.
Recording merge(std::vector<Trace> traces);

} // namespace talaria::telemetry
