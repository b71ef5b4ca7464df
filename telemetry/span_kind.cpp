#include "telemetry/span_kind.hpp"

#include <algorithm>
#include <array>

namespace talaria::telemetry {

namespace {

constexpr std::array<std::string_view, kSpanKinds> kNames{
    "request", "embed",  "norm",      "mask",       "pack",      "wire up",
    "queue",   "copy",   "product",   "recombine",  "wire down", "unpack",
    "verify",  "unmask", "attention", "activation", "sample",    "mailbox"};

} // namespace

std::string_view to_string(SpanKind kind) noexcept {
  return kNames[static_cast<std::size_t>(kind)];
}

std::optional<SpanKind> parse_span_kind(std::string_view name) noexcept {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<SpanKind>(found - kNames.begin());
}

bool is_inside(SpanKind kind) noexcept {
  switch (kind) {
  case SpanKind::embed:
  case SpanKind::norm:
  case SpanKind::mask:
  case SpanKind::verify:
  case SpanKind::unmask:
  case SpanKind::attention:
  case SpanKind::activation:
  case SpanKind::sample:
    return true;
  default:
    return false;
  }
}

bool is_outside(SpanKind kind) noexcept {
  switch (kind) {
  case SpanKind::wire_up:
  case SpanKind::copy:
  case SpanKind::product:
  case SpanKind::recombine:
  case SpanKind::wire_down:
    return true;
  default:
    return false;
  }
}

} // namespace talaria::telemetry
