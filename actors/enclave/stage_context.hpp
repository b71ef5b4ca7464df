#pragma once

#include <exception>
#include <string>
#include <utility>

#include "actors/enclave/messages.hpp"
#include "telemetry/tracer.hpp"

namespace talaria::enclave {

/// What every stage is given: its name in traces, whom to tell of failures, and the tracer (or
/// null).
struct StageContext {
  std::string name;
  Overseer overseer;
  telemetry::Tracer* tracer = nullptr;
  telemetry::Tracer::Track track = 0;

  telemetry::Span span(telemetry::SpanKind kind, const MicroBatch& batch, std::size_t rows,
                       u32 matrix = telemetry::kNoMatrix) const {
    telemetry::SpanLabels labels;
    labels.trace = batch.trace();
    labels.micro_batch = batch.id;
    labels.rows = static_cast<u32>(rows);
    labels.sequences = static_cast<u32>(batch.segments.size());
    labels.matrix = matrix;
    return {tracer, track, kind, labels};
  }
};

/// Runs `work` for a micro-batch; an exception ends that micro-batch with a Failure, not the stage.
template <class Self, class Work>
void guarded(Self self, const StageContext& context, u64 micro_batch, Work&& work) {
  Failure failure;
  failure.micro_batch = micro_batch;
  try {
    std::forward<Work>(work)();
    return;
  } catch (const Error& error) {
    failure.code = error.code();
    failure.message = error.what();
  } catch (const std::exception& error) {
    failure.code = Errc::internal;
    failure.message = context.name + ": " + error.what();
  }
  self->send(context.overseer, std::move(failure));
}

} // namespace talaria::enclave
