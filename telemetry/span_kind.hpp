#pragma once

#include <optional>
#include <string_view>

#include "core/integers.hpp"

namespace talaria::telemetry {

/// What a span is the time of. The order is that of a token's way through one layer.
enum class SpanKind : u8 {
  request, ///< from submission to the last token
  embed,
  norm,
  mask,      ///< quantise, add the mask, write the words
  pack,      ///< a tensor into its frame: at the enclave the masked rows, at a worker the product
  wire_up,   ///< from the enclave's queue to the worker's memory
  queue,     ///< at the worker, behind other products
  copy,      ///< rows of several requests put together
  product,   ///< at the worker, copy and recombination included
  recombine, ///< at the worker, to the format of replies, where that is a step of its own
  wire_down, ///< from the end of the product to the enclave's memory
  unpack,    ///< a tensor out of its frame; at the enclave column shards put side by side
  verify,    ///< integrity checks of either side of a product
  unmask,    ///< decode and scale
  attention,
  activation,
  sample,
  mailbox, ///< a message sent until its stage begins on it
};
inline constexpr std::size_t kSpanKinds = 18;

/// As written in traces: "wire up".
std::string_view to_string(SpanKind kind) noexcept;
/// Nothing for a name that is none of ours.
std::optional<SpanKind> parse_span_kind(std::string_view name) noexcept;

/// Work of the enclave's stages on clear values.
bool is_inside(SpanKind kind) noexcept;
/// Time that a confidential product costs outside the enclave, waiting in the worker's queue not
/// included: what other micro-batches should hide.
bool is_outside(SpanKind kind) noexcept;

} // namespace talaria::telemetry
