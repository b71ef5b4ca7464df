#pragma once

#include <boost/test/unit_test.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

namespace talaria::tests {

/// Fields of opentelemetry-proto 1.x that are written here, by message, in protobuf's JSON names
/// with what OTLP/HTTP has as their values: another message, or hex16 and hex32 (ids of 8 and 16
/// bytes), int64 and fixed64 (decimal text), and so on.
/// [] stands behind lists.
inline const std::map<std::string, std::map<std::string, std::string>>& otlp_messages() {
  static const std::map<std::string, std::map<std::string, std::string>> messages{
      {"ExportTraceServiceRequest", {{"resourceSpans", "ResourceSpans[]"}}},
      {"ResourceSpans", {{"resource", "Resource"}, {"scopeSpans", "ScopeSpans[]"}}},
      {"ScopeSpans", {{"scope", "InstrumentationScope"}, {"spans", "Span[]"}}},
      {"Span",
       {{"traceId", "hex32"},
        {"spanId", "hex16"},
        {"parentSpanId", "hex16"},
        {"name", "string"},
        {"kind", "enum"},
        {"startTimeUnixNano", "fixed64"},
        {"endTimeUnixNano", "fixed64"},
        {"attributes", "KeyValue[]"},
        {"status", "Status"}}},
      {"Status", {{"message", "string"}, {"code", "enum"}}},
      {"ExportMetricsServiceRequest", {{"resourceMetrics", "ResourceMetrics[]"}}},
      {"ResourceMetrics", {{"resource", "Resource"}, {"scopeMetrics", "ScopeMetrics[]"}}},
      {"ScopeMetrics", {{"scope", "InstrumentationScope"}, {"metrics", "Metric[]"}}},
      {"Metric",
       {{"name", "string"},
        {"description", "string"},
        {"unit", "string"},
        {"gauge", "Gauge"},
        {"sum", "Sum"},
        {"histogram", "Histogram"}}},
      {"Gauge", {{"dataPoints", "NumberDataPoint[]"}}},
      {"Sum",
       {{"dataPoints", "NumberDataPoint[]"},
        {"aggregationTemporality", "enum"},
        {"isMonotonic", "bool"}}},
      {"Histogram", {{"dataPoints", "HistogramDataPoint[]"}, {"aggregationTemporality", "enum"}}},
      {"NumberDataPoint",
       {{"attributes", "KeyValue[]"},
        {"startTimeUnixNano", "fixed64"},
        {"timeUnixNano", "fixed64"},
        {"asDouble", "double"}}},
      {"HistogramDataPoint",
       {{"attributes", "KeyValue[]"},
        {"startTimeUnixNano", "fixed64"},
        {"timeUnixNano", "fixed64"},
        {"count", "fixed64"},
        {"sum", "double"},
        {"bucketCounts", "fixed64[]"},
        {"explicitBounds", "double[]"}}},
      {"Resource", {{"attributes", "KeyValue[]"}}},
      {"InstrumentationScope", {{"name", "string"}, {"version", "string"}}},
      {"KeyValue", {{"key", "string"}, {"value", "AnyValue"}}},
      {"AnyValue",
       {{"stringValue", "string"},
        {"boolValue", "bool"},
        {"intValue", "int64"},
        {"doubleValue", "double"},
        {"arrayValue", "ArrayValue"}}},
      {"ArrayValue", {{"values", "AnyValue[]"}}},
  };
  return messages;
}

/// Every field is one of its message and has its type.
inline void check_otlp(const nlohmann::json& value, const std::string& type,
                       const std::string& path = "$") {
  if (type.ends_with("[]")) {
    BOOST_TEST_REQUIRE(value.is_array(), path);
    std::size_t i = 0;
    for (const auto& each : value)
      check_otlp(each, type.substr(0, type.size() - 2), path + "[" + std::to_string(i++) + "]");
    return;
  }
  const auto is_text_of = [&](const char* signs, std::size_t length) {
    if (!value.is_string()) return false;
    const auto& text = value.get_ref<const std::string&>();
    return !text.empty() && (length == 0 || text.size() == length) &&
           text.find_first_not_of(signs) == std::string::npos;
  };
  const std::map<std::string, bool> scalars{{"string", value.is_string()},
                                            {"bool", value.is_boolean()},
                                            {"enum", value.is_number_unsigned()},
                                            {"double", value.is_number()},
                                            {"fixed64", is_text_of("0123456789", 0)},
                                            {"int64", is_text_of("-0123456789", 0)},
                                            {"hex16", is_text_of("0123456789abcdef", 16)},
                                            {"hex32", is_text_of("0123456789abcdef", 32)}};
  if (const auto scalar = scalars.find(type); scalar != scalars.end()) {
    BOOST_TEST(scalar->second, path + " is no " + type);
    return;
  }
  const auto& fields = otlp_messages().at(type);
  BOOST_TEST_REQUIRE(value.is_object(), path);
  for (const auto& [name, inside] : value.items()) {
    const auto field = fields.find(name);
    BOOST_TEST_REQUIRE((field != fields.end()), path + "." + name + " is no field of " + type);
    check_otlp(inside, field->second, path + "." + name);
  }
  if (type == "AnyValue") BOOST_TEST(value.size() == 1u, path);
}

/// The value of an attribute, without its type; null if it is not there.
inline nlohmann::json otlp_attribute(const nlohmann::json& holder, const std::string& key) {
  for (const auto& each : holder.at("attributes"))
    if (each.at("key") == key) return each.at("value").front();
  return nullptr;
}

} // namespace talaria::tests
