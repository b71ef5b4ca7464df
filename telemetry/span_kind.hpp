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
  mask,
  wire_up,   ///< from the enclave's queue to the worker's memory
  queue,     ///< at the worker, behind other products
  copy,      ///< rows of several requests put together
  product,   ///< at the worker, copy and switch included
  switching, ///< to the short format of replies
  wire_down, ///< from the end of the product to the enclave
  unmask,    ///< with the checks
  attention,
  activation,
  sample,
};
inline constexpr std::size_t kSpanKinds = 14;

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
