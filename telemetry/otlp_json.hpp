#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "core/integers.hpp"
#include "telemetry/trace_id.hpp"

namespace talaria::telemetry {

/// What spans and points say beside times and values. By OpenTelemetry's semantic conventions;
/// never anything of a prompt or an answer.
struct OtlpAttribute {
  std::string key;
  std::variant<std::string, i64, double, std::vector<std::string>> value;
};

/// One operation, from its beginning to its end.
struct OtlpSpan {
  enum class Kind : u8 { internal = 1, server = 2 }; ///< their numbers in OTLP
  using Time = std::chrono::system_clock::time_point;

  TraceContext context; ///< its trace, and the span above it
  u64 id = 0;           ///< not 0
  std::string name;
  Kind kind = Kind::internal;
  Time start, end;
  std::vector<OtlpAttribute> attributes;
  bool failed = false;
};

/// Values of one series at one time.
struct OtlpPoint {
  std::vector<OtlpAttribute> attributes;
  double value = 0; ///< of a histogram: the sum
  u64 count = 0;    ///< the rest are of histograms
  std::vector<double> bounds;
  std::vector<u64> buckets; ///< one more than `bounds`, each for itself
};

struct OtlpMetric {
  enum class Kind : u8 { gauge, sum, histogram }; ///< the last two count from the program's start
  std::string name, description, unit;
  Kind kind = Kind::gauge;
  std::vector<OtlpPoint> points;
};

/// The bodies of OTLP/HTTP in its JSON encoding (opentelemetry-proto 1.x): ids in hexadecimal
/// digits, 64-bit numbers as text, enums as numbers.
/// @param resource  what all of them are about: service.name and its kind
std::string otlp_traces(const std::vector<OtlpAttribute>& resource,
                        std::span<const OtlpSpan> spans);
std::string otlp_metrics(const std::vector<OtlpAttribute>& resource,
                         std::span<const OtlpMetric> metrics, OtlpSpan::Time start,
                         OtlpSpan::Time now);

} // namespace talaria::telemetry
