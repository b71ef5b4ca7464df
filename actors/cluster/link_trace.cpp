#include "actors/cluster/link_trace.hpp"

#include <algorithm>

#include "telemetry/round_trip.hpp"

namespace talaria::cluster {

using telemetry::SpanKind;

LinkTrace::LinkTrace(telemetry::Tracer* tracer, const std::string& node) : tracer_(tracer) {
  if (!on()) return;
  up_ = tracer->track(node, "wire up");
  queue_ = tracer->track(node, "queue");
  product_ = tracer->track(node, "product");
  down_ = tracer->track(node, "wire down");
}

void LinkTrace::record(const remo::MaskedTensor& tensor, const remo::WorkerProduct& product,
                       Time sent, double clock_offset_ms) const {
  if (!on() || tensor.mark.micro_batch == 0) return;
  constexpr double kMostOffset = 1e12; // ms; the estimate rests on the worker's word
  const auto ahead = static_cast<i64>(std::clamp(clock_offset_ms, -kMostOffset, kMostOffset) * 1e6);
  const auto arrived = now();
  telemetry::SpanLabels labels;
  labels.trace = tensor.mark.id;
  labels.micro_batch = tensor.mark.micro_batch;
  labels.rows = tensor.rows;
  labels.matrix = tensor.matrix;
  labels.joined_rows = product.timing.joined_rows;
  labels.bytes_up = tensor.bytes->size();
  labels.bytes_down = product.bytes->size();
  const auto& said = product.timing;
  const auto times = telemetry::on_our_clock({said.received, said.started, said.finished}, ahead,
                                             tracer_->wall_of(sent), tracer_->wall_of(arrived));
  if (!times) { // all that is known is that it was away
    tracer_->record(up_, SpanKind::wire_up, sent, arrived, labels);
    return;
  }
  const auto received = tracer_->at_wall(times->received);
  const auto started = tracer_->at_wall(times->started);
  const auto finished = tracer_->at_wall(times->finished);
  tracer_->record(product_, SpanKind::product, started, finished, labels);
  labels.bytes_up = labels.bytes_down = 0; // counted once
  tracer_->record(up_, SpanKind::wire_up, sent, received, labels);
  tracer_->record(queue_, SpanKind::queue, received, started, labels);
  tracer_->record(down_, SpanKind::wire_down, finished, arrived, labels);
}

} // namespace talaria::cluster
