#pragma once

#include <string>
#include <vector>

#include "gateway/exchange.hpp"
#include "telemetry/otlp_json.hpp"

namespace talaria::gateway {

/// A request for answers as spans by OpenTelemetry's conventions for HTTP and GenAI: one of the
/// server, and below it queue, prefill and decode of the first answer. No content: neither texts
/// nor tokens, stop strings, names of clients or keys.
/// @param model  the served name
/// @return none for a request that never was one for answers, or whose caller keeps no spans
std::vector<telemetry::OtlpSpan> request_spans(const Exchange& exchange, const std::string& model);

} // namespace talaria::gateway
