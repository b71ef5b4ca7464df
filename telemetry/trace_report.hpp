#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/integers.hpp"
#include "telemetry/intervals.hpp"
#include "telemetry/span_kind.hpp"
#include "telemetry/trace_file.hpp"

namespace talaria::telemetry {

/// Of durations, in microseconds; percentiles are the nearest rank: a value that occurred.
struct Latency {
  u64 count = 0;
  double total = 0;
  double p50 = 0;
  double p95 = 0;
  double p99 = 0;
  double most = 0;
};

/// One stage of one phase.
struct StageFigures {
  SpanKind kind = SpanKind::embed;
  Latency latency; ///< of its spans
  /// Part of the life of the phase's micro-batches that this stage accounts for, 0 to 1. Where
  /// several are at work for one micro-batch, the product counts first, then the enclave.
  double share = 0;
};

/// What one micro-batch went through. Times in microseconds from its beginning.
struct Waterfall {
  struct Bar {
    SpanKind kind = SpanKind::embed;
    double begin = 0;
    double end = 0;
    std::string where; ///< matrix or stage: "layers.3.qkv"
    std::string process;
    u32 rows = 0;
    u32 joined_rows = 0;
  };
  struct Stretch {
    double begin = 0;
    double end = 0;
  };
  u64 micro_batch = 0;
  u64 trace = 0;
  u32 rows = 0;
  double length = 0;
  std::vector<Bar> bars;       ///< in order of their beginning
  std::vector<Stretch> others; ///< the enclave at work for other micro-batches
};

/// When a micro-batch began, and how long it lived; microseconds since the first span.
struct Moment {
  double begin = 0;
  double life = 0;
};

/// All micro-batches of one phase: "decode" if every row is one sequence's next token, "prefill"
/// otherwise, "unknown" if the trace does not say, as that of a worker.
struct Phase {
  std::string name;
  u64 micro_batches = 0;
  u64 rows = 0;
  Latency life;                     ///< of micro-batches, from embedding to sampling
  std::vector<StageFigures> stages; ///< those that occur, in the order of a token's way
  double waiting = 0;               ///< part of their life without any span
  double outside = 0; ///< microseconds of wire and product time, for each micro-batch once
  double hidden = 0;  ///< of those, while the enclave worked for other micro-batches
  u64 bytes_up = 0;
  u64 bytes_down = 0;
  std::vector<Moment> course;         ///< in order of time, thinned to what a picture can show
  std::optional<Waterfall> waterfall; ///< of one in the middle; of prefill, one of the largest
  /// hidden / outside, or 0.
  double overlap() const noexcept { return outside > 0 ? hidden / outside : 0; }
  double bytes_per_row(u64 bytes) const noexcept {
    return rows == 0 ? 0 : static_cast<double>(bytes) / static_cast<double>(rows);
  }
};

struct TraceReport {
  double length = 0; ///< microseconds from the first span to the end of the last
  u64 spans = 0;
  u64 dropped_spans = 0;
  u64 prompt_tokens = 0;
  u64 answer_tokens = 0;
  Latency requests;
  std::vector<std::string> workers; ///< processes beside the enclave
  std::vector<Phase> phases;        ///< those that occur: decode, prefill, unknown
  std::vector<MaskStock> stock;     ///< thinned to what a picture can show
};

/// Computes everything the report shows. Pure.
TraceReport analyse(const Trace& trace);

/// The `p`-th percentile (0 < p <= 100) of sorted values by nearest rank; 0 of none.
double percentile(const std::vector<double>& sorted, double p) noexcept;

} // namespace talaria::telemetry
