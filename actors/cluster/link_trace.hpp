#pragma once

#include <string>

#include "remo/public/wire_tensors.hpp"
#include "telemetry/tracer.hpp"

namespace talaria::cluster {

/// Draws a product that was asked of a remote worker: what the link did with it, and, on a track
/// of that worker, what it says of its part. Does nothing without a tracer, or for tensors that the
/// enclave did not mark.
class LinkTrace {
public:
  using Time = telemetry::Tracer::Clock::time_point;

  LinkTrace(telemetry::Tracer* tracer, const std::string& node);

  bool on() const noexcept { return telemetry::tracing(tracer_); }
  /// What the worker is sent: it learns which request and micro-batch a tensor belongs to only
  /// where they are written into a trace, which its own is to be merged with.
  remo::MaskedTensor as_sent(const remo::MaskedTensor& tensor) const;
  Time now() const { return on() ? telemetry::Tracer::Clock::now() : Time{}; }

  /// What this side knows of a product that is here.
  struct Way {
    Time taken;   ///< the link had the masked tensor,
    Time sent;    ///< had put it into a frame, on the queue of the connection,
    Time arrived; ///< and the product was in memory
  };
  /// To be called when the product has been looked at. The worker's clock is `clock_offset_ms`
  /// ahead of ours.
  void record(const remo::MaskedTensor& tensor, const remo::WorkerProduct& product, const Way& way,
              double clock_offset_ms) const;

private:
  void record_ours(const remo::MaskedTensor& tensor, const telemetry::SpanLabels& labels,
                   const Way& way) const;

  telemetry::Tracer* tracer_;
  telemetry::Tracer::Track link_ = 0; ///< of the enclave
  telemetry::Tracer::Track up_ = 0;
  telemetry::Tracer::Track queue_ = 0;
  telemetry::Tracer::Track product_ = 0;
  telemetry::Tracer::Track down_ = 0;
};

} // namespace talaria::cluster
