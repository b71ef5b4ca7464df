#pragma once

#include <string>

#include "telemetry/trace_file.hpp"

namespace talaria::telemetry {

/// Traces by hand. Times in microseconds.
class HandMade {
public:
  HandMade& span(SpanKind kind, u64 micro_batch, i64 begin, i64 end) {
    TraceSpan span;
    span.kind = kind;
    span.when = {begin * 1000, end * 1000};
    span.labels.micro_batch = micro_batch;
    span.labels.rows = rows_;
    span.labels.sequences = sequences_;
    span.process = is_inside(kind) || kind == SpanKind::request ? "enclave" : "gpu-a";
    span.thread = "layers.0.qkv." + std::string(to_string(kind));
    if (kind == SpanKind::mask || is_outside(kind)) span.labels.matrix = 0;
    if (kind == SpanKind::product) {
      span.labels.bytes_up = 600;
      span.labels.bytes_down = 400;
    }
    trace.spans.push_back(span);
    return *this;
  }
  /// Of the spans that follow.
  HandMade& shape(u32 rows, u32 sequences) {
    rows_ = rows;
    sequences_ = sequences;
    return *this;
  }

  Trace trace;

private:
  u32 rows_ = 1;
  u32 sequences_ = 1;
};

/// Two decode tokens side by side. The first is on the wire and in its product from 20 to 80; the
/// enclave works for the second from 30 to 50 of that.
inline HandMade two_tokens() {
  HandMade made;
  made.span(SpanKind::embed, 1, 0, 10)
      .span(SpanKind::mask, 1, 10, 20)
      .span(SpanKind::wire_up, 1, 20, 30)
      .span(SpanKind::queue, 1, 30, 40)
      .span(SpanKind::product, 1, 40, 70)
      .span(SpanKind::wire_down, 1, 70, 80)
      .span(SpanKind::unmask, 1, 80, 90)
      .span(SpanKind::sample, 1, 95, 100)
      .span(SpanKind::embed, 2, 25, 35)
      .span(SpanKind::mask, 2, 35, 50)
      .span(SpanKind::wire_up, 2, 60, 160)
      .span(SpanKind::sample, 2, 165, 175);
  return made;
}

} // namespace talaria::telemetry
