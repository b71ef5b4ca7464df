#include "actors/cluster/link_trace.hpp"

#include <algorithm>

#include "actors/tensor_labels.hpp"
#include "telemetry/round_trip.hpp"

namespace talaria::cluster {

using telemetry::SpanKind;

LinkTrace::LinkTrace(telemetry::Tracer* tracer, const std::string& node) : tracer_(tracer) {
  if (tracer == nullptr) return;
  link_ = tracer->track("enclave", "link " + node);
  up_ = tracer->track(node, "wire up");
  queue_ = tracer->track(node, "queue");
  product_ = tracer->track(node, "product");
  down_ = tracer->track(node, "wire down");
}

remo::MaskedTensor LinkTrace::as_sent(const remo::MaskedTensor& tensor) const {
  remo::MaskedTensor out = tensor;
  if (tracer_ == nullptr || !tracer_->is_written()) out.mark = {};
  return out;
}

void LinkTrace::record_ours(const remo::MaskedTensor& tensor, const telemetry::SpanLabels& labels,
                            const Way& way) const {
  // The mask stage noted when it let go of the tensor.
  tracer_->record(link_, SpanKind::pack, way.taken, way.sent, labels,
                  tensor.received == 0 ? Time() : tracer_->at_wall(tensor.received));
  tracer_->record(link_, SpanKind::unpack, way.arrived, now(), labels);
}

void LinkTrace::record(const remo::MaskedTensor& tensor, const remo::WorkerProduct& product,
                       const Way& way, double clock_offset_ms) const {
  const bool seen_from_the_start = way.taken != Time() && way.arrived != Time();
  if (!on() || !seen_from_the_start || tensor.mark.micro_batch == 0) return;
  constexpr double kMaxOffset = 1e12; // ms; the estimate rests on the worker's word
  const auto ahead = static_cast<i64>(std::clamp(clock_offset_ms, -kMaxOffset, kMaxOffset) * 1e6);
  const auto& said = product.timing;
  // The link may have been interrupted between sending and noting that it has: the worker can be
  // ahead of `way.sent`, but not of `way.taken`.
  const auto times =
      telemetry::on_our_clock({said.received, said.started, said.finished}, ahead,
                              tracer_->wall_of(way.taken), tracer_->wall_of(way.arrived));
  Way ours = way;
  if (times) ours.sent = std::min(way.sent, tracer_->at_wall(times->received));
  telemetry::SpanLabels labels = labels_of(tensor);
  record_ours(tensor, labels, ours);
  labels.joined_rows = said.joined_rows;
  labels.bytes_up = tensor.bytes->size();
  labels.bytes_down = product.bytes->size();
  if (!times) { // all that is known is that it was away
    tracer_->record(up_, SpanKind::wire_up, ours.sent, way.arrived, labels);
    return;
  }
  const auto received = tracer_->at_wall(times->received);
  const auto started = tracer_->at_wall(times->started);
  const auto finished = tracer_->at_wall(times->finished);
  tracer_->record(product_, SpanKind::product, started, finished, labels);
  labels.bytes_up = labels.bytes_down = 0; // counted once
  tracer_->record(up_, SpanKind::wire_up, ours.sent, received, labels);
  tracer_->record(queue_, SpanKind::queue, received, started, labels);
  tracer_->record(down_, SpanKind::wire_down, finished, way.arrived, labels);
}

} // namespace talaria::cluster
