#pragma once

#include <algorithm>
#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "actors/actor_end.hpp"
#include "actors/enclave/messages.hpp"
#include "core/step_clock.hpp"
#include "telemetry/tracer.hpp"

namespace talaria::enclave {

/// What every stage is given: its name in traces, whom to tell of failures, and the tracer (or
/// null).
struct StageContext {
  std::string name;
  Overseer overseer;
  telemetry::Tracer* tracer = nullptr;
  telemetry::Tracer::Track track = 0;

  bool tracing() const noexcept { return telemetry::tracing(tracer); }
  /// To be put into whatever is sent on; nothing unless somebody traces.
  MessageTime now() const { return tracing() ? MessageTime::clock::now() : MessageTime(); }

  /// `sent`: when the message was that the stage now works on.
  telemetry::Span span(telemetry::SpanKind kind, const MicroBatch& batch, std::size_t rows,
                       MessageTime sent) const {
    if (!tracing()) return {};
    return {tracer, track, kind, labels(batch, rows), sent};
  }

  static telemetry::SpanLabels labels(const MicroBatch& batch, std::size_t rows) {
    telemetry::SpanLabels labels;
    labels.trace = batch.trace();
    labels.micro_batch = batch.id;
    labels.rows = static_cast<u32>(rows);
    labels.sequences = static_cast<u32>(batch.segments.size());
    return labels;
  }
};

/// A span around work on one side of a product. The steps in it that are spread over its rows are
/// drawn together, as spans of their own: unpacking at its begin, integrity checks at its end.
class CheckedSpan {
public:
  CheckedSpan(const StageContext& context, telemetry::SpanKind kind, const MicroBatch& batch,
              std::size_t rows, u32 matrix, MessageTime sent) {
    if (!context.tracing()) return;
    open_ = std::make_unique<Open>(context, kind, StageContext::labels(batch, rows), sent);
    open_->labels.matrix = matrix;
  }
  ~CheckedSpan() {
    if (open_) open_->close();
  }
  CheckedSpan(const CheckedSpan&) = delete;
  CheckedSpan& operator=(const CheckedSpan&) = delete;

private:
  struct Open {
    Open(const StageContext& stage, telemetry::SpanKind what, const telemetry::SpanLabels& says,
         MessageTime since)
        : context(stage), kind(what), labels(says), sent(since), begin(MessageTime::clock::now()) {}
    void close() const {
      const auto end = MessageTime::clock::now();
      // Both are estimates, of which every row counts a few.
      const auto unpacked = std::min(end, begin + steps.spent(Step::unpack));
      const auto done = std::max(unpacked, end - steps.spent(Step::verify));
      const auto record = [this](telemetry::SpanKind what, MessageTime from, MessageTime to) {
        if (from < to) context.tracer->record(context.track, what, from, to, labels);
      };
      record(telemetry::SpanKind::unpack, begin, unpacked);
      context.tracer->record(context.track, kind, unpacked, done, labels, sent);
      record(telemetry::SpanKind::verify, done, end);
    }
    const StageContext& context;
    telemetry::SpanKind kind;
    telemetry::SpanLabels labels;
    MessageTime sent;
    MessageTime begin;
    StepClock steps;
  };
  std::unique_ptr<Open> open_; ///< null unless somebody traces
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
  } catch (...) {
    failure.code = Errc::internal;
    failure.message = context.name + ": " + kind_of(std::current_exception());
  }
  self->send(context.overseer, std::move(failure));
}

} // namespace talaria::enclave
