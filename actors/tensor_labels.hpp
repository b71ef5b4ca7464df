#pragma once

#include "remo/public/wire_tensors.hpp"
#include "telemetry/recording.hpp"

namespace talaria {

/// What spans of a product say of it; no request and no micro-batch if the enclave did not mark it.
inline telemetry::SpanLabels labels_of(const remo::MaskedTensor& tensor) {
  telemetry::SpanLabels labels;
  labels.trace = tensor.mark.id;
  labels.micro_batch = tensor.mark.micro_batch;
  labels.rows = tensor.rows;
  labels.matrix = tensor.matrix;
  return labels;
}

} // namespace talaria
