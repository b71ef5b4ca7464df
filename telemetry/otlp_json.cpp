#include "telemetry/otlp_json.hpp"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace talaria::telemetry {

namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kScope = "talaria";
constexpr int kCumulative = 2;  // AGGREGATION_TEMPORALITY_CUMULATIVE
constexpr int kStatusError = 2; // STATUS_CODE_ERROR

std::string nanoseconds(OtlpSpan::Time time) {
  return std::to_string(
      std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count());
}

Json any_value(const OtlpAttribute& attribute) {
  struct Writer {
    Json operator()(const std::string& text) const { return {{"stringValue", text}}; }
    Json operator()(i64 number) const { return {{"intValue", std::to_string(number)}}; }
    Json operator()(double number) const { return {{"doubleValue", number}}; }
    Json operator()(const std::vector<std::string>& texts) const {
      Json values = Json::array();
      for (const std::string& text : texts) values.push_back({{"stringValue", text}});
      return {{"arrayValue", {{"values", std::move(values)}}}};
    }
  };
  return std::visit(Writer(), attribute.value);
}

Json attributes_json(const std::vector<OtlpAttribute>& attributes) {
  Json out = Json::array();
  for (const OtlpAttribute& each : attributes)
    out.push_back(Json{{"key", each.key}, {"value", any_value(each)}});
  return out;
}

Json span_json(const OtlpSpan& span) {
  Json out{{"traceId", to_hex(span.context.high) + to_hex(span.context.low)},
           {"spanId", to_hex(span.id)}};
  if (span.context.parent != 0) out["parentSpanId"] = to_hex(span.context.parent);
  out["name"] = span.name;
  out["kind"] = static_cast<int>(span.kind);
  out["startTimeUnixNano"] = nanoseconds(span.start);
  out["endTimeUnixNano"] = nanoseconds(span.end);
  out["attributes"] = attributes_json(span.attributes);
  out["status"] = span.failed ? Json{{"code", kStatusError}} : Json::object();
  return out;
}

/// JSON has no number for what is none.
Json number_json(double value) {
  if (std::isfinite(value)) return value;
  return std::isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
}

Json point_json(const OtlpMetric& metric, const OtlpPoint& point, const std::string& start,
                const std::string& now) {
  Json out{{"attributes", attributes_json(point.attributes)}};
  if (metric.kind != OtlpMetric::Kind::gauge) out["startTimeUnixNano"] = start;
  out["timeUnixNano"] = now;
  if (metric.kind != OtlpMetric::Kind::histogram) {
    out["asDouble"] = number_json(point.value);
    return out;
  }
  out["count"] = std::to_string(point.count);
  out["sum"] = number_json(point.value);
  Json buckets = Json::array();
  for (const u64 bucket : point.buckets) buckets.push_back(std::to_string(bucket));
  out["bucketCounts"] = std::move(buckets);
  out["explicitBounds"] = point.bounds;
  return out;
}

Json metric_json(const OtlpMetric& metric, const std::string& start, const std::string& now) {
  Json data;
  data["dataPoints"] = Json::array();
  for (const OtlpPoint& point : metric.points)
    data["dataPoints"].push_back(point_json(metric, point, start, now));
  if (metric.kind != OtlpMetric::Kind::gauge) data["aggregationTemporality"] = kCumulative;
  if (metric.kind == OtlpMetric::Kind::sum) data["isMonotonic"] = true;
  constexpr const char* kKinds[] = {"gauge", "sum", "histogram"};
  return {{"name", metric.name},
          {"description", metric.description},
          {"unit", metric.unit},
          {kKinds[static_cast<std::size_t>(metric.kind)], std::move(data)}};
}

std::string body(const char* resources, const char* scopes, const char* list,
                 const std::vector<OtlpAttribute>& resource, Json items) {
  Json scope{{"scope", {{"name", kScope}}}};
  scope[list] = std::move(items);
  Json one{{"resource", {{"attributes", attributes_json(resource)}}}};
  one[scopes] = Json::array({std::move(scope)});
  Json out;
  out[resources] = Json::array({std::move(one)});
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

} // namespace

std::string otlp_traces(const std::vector<OtlpAttribute>& resource,
                        std::span<const OtlpSpan> spans) {
  Json items = Json::array();
  for (const OtlpSpan& span : spans) items.push_back(span_json(span));
  return body("resourceSpans", "scopeSpans", "spans", resource, std::move(items));
}

std::string otlp_metrics(const std::vector<OtlpAttribute>& resource,
                         std::span<const OtlpMetric> metrics, OtlpSpan::Time start,
                         OtlpSpan::Time now) {
  Json items = Json::array();
  for (const OtlpMetric& metric : metrics)
    items.push_back(metric_json(metric, nanoseconds(start), nanoseconds(now)));
  return body("resourceMetrics", "scopeMetrics", "metrics", resource, std::move(items));
}

} // namespace talaria::telemetry
