#pragma once

#include <string>

#include "remo/public/wire_tensors.hpp"
#include "telemetry/tracer.hpp"

namespace talaria::cluster {

/// Draws what a remote worker says of its part in a product, on a track of that worker. Does
/// nothing without a tracer, or for tensors that the enclave did not mark.
class LinkTrace {
public:
  using Time = telemetry::Tracer::Clock::time_point;

  LinkTrace(telemetry::Tracer* tracer, const std::string& node);

  bool on() const noexcept { return tracer_ != nullptr; }
  Time now() const { return on() ? telemetry::Tracer::Clock::now() : Time{}; }

  /// A product that was asked for at `sent` has just arrived; the worker's clock is
  /// `clock_offset_ms` ahead of ours.
  void record(const remo::MaskedTensor& tensor, const remo::WorkerProduct& product, Time sent,
              double clock_offset_ms) const;

private:
  telemetry::Tracer* tracer_;
  telemetry::Tracer::Track up_ = 0;
  telemetry::Tracer::Track queue_ = 0;
  telemetry::Tracer::Track product_ = 0;
  telemetry::Tracer::Track down_ = 0;
};

} // namespace talaria::cluster
