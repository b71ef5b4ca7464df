#include "gateway/otlp_figures.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>

namespace talaria::gateway {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using telemetry::OtlpAttribute;
using telemetry::OtlpMetric;
using telemetry::OtlpPoint;

struct KnownFigure {
  std::string_view prometheus, name, unit;
  std::string_view token_type; ///< gen_ai.token.type; empty: none
};

constexpr KnownFigure kKnown[] = {
    {"vllm:e2e_request_latency_seconds", "gen_ai.server.request.duration", "s", ""},
    {"vllm:time_to_first_token_seconds", "gen_ai.server.time_to_first_token", "s", ""},
    {"vllm:request_time_per_output_token_seconds", "gen_ai.server.time_per_output_token", "s", ""},
    {"vllm:request_prompt_tokens", "gen_ai.client.token.usage", "{token}", "input"},
    {"vllm:request_generation_tokens", "gen_ai.client.token.usage", "{token}", "output"},
};

std::string unit_of(std::string_view name) {
  if (name.ends_with("_seconds") || name.ends_with("_seconds_total")) return "s";
  if (name.ends_with("_bytes") || name.ends_with("_bytes_total")) return "By";
  return "1";
}

std::string plain_name(const MetricFamily& family) {
  std::string name = family.name;
  std::replace(name.begin(), name.end(), ':', '.');
  constexpr std::string_view kTotal = "_total";
  if (family.type == MetricType::Counter && name.ends_with(kTotal))
    name.resize(name.size() - kTotal.size());
  return name;
}

/// Prometheus counts all values up to a bound, OTLP those between two.
OtlpPoint histogram_point(const ClientMetric::Histogram& histogram) {
  OtlpPoint point;
  point.value = histogram.sample_sum;
  point.count = histogram.sample_count;
  u64 below = 0;
  for (const auto& bucket : histogram.bucket) {
    if (std::isinf(bucket.upper_bound)) break;
    point.bounds.push_back(bucket.upper_bound);
    point.buckets.push_back(bucket.cumulative_count - below);
    below = bucket.cumulative_count;
  }
  point.buckets.push_back(point.count - below);
  return point;
}

OtlpPoint point_of(const ClientMetric& metric, MetricType type) {
  OtlpPoint point;
  if (type == MetricType::Histogram) point = histogram_point(metric.histogram);
  if (type == MetricType::Counter) point.value = metric.counter.value;
  if (type == MetricType::Gauge) point.value = metric.gauge.value;
  return point;
}

OtlpMetric metric_of(const MetricFamily& family) {
  const auto* known =
      std::find_if(std::begin(kKnown), std::end(kKnown),
                   [&](const KnownFigure& each) { return each.prometheus == family.name; });
  const bool is_known = known != std::end(kKnown);
  OtlpMetric out;
  out.name = is_known ? std::string(known->name) : plain_name(family);
  out.unit = is_known ? std::string(known->unit) : unit_of(family.name);
  out.description = family.help;
  out.kind = family.type == MetricType::Histogram ? OtlpMetric::Kind::histogram
             : family.type == MetricType::Counter ? OtlpMetric::Kind::sum
                                                  : OtlpMetric::Kind::gauge;
  for (const ClientMetric& metric : family.metric) {
    OtlpPoint point = point_of(metric, family.type);
    for (const auto& label : metric.label) {
      const bool is_model = is_known && label.name == "model_name";
      point.attributes.push_back({is_model ? "gen_ai.request.model" : label.name, label.value});
    }
    if (is_known) {
      point.attributes.push_back({"gen_ai.provider.name", std::string("talaria")});
      if (!known->token_type.empty())
        point.attributes.push_back({"gen_ai.token.type", std::string(known->token_type)});
    }
    out.points.push_back(std::move(point));
  }
  return out;
}

} // namespace

std::vector<OtlpMetric> otlp_figures(const std::vector<MetricFamily>& families) {
  std::vector<OtlpMetric> out;
  for (const MetricFamily& family : families) {
    OtlpMetric metric = metric_of(family);
    if (metric.points.empty()) continue;
    const auto same = std::find_if(out.begin(), out.end(), [&](const OtlpMetric& each) {
      return each.name == metric.name; // two families may be series of one metric
    });
    if (same == out.end()) {
      out.push_back(std::move(metric));
      continue;
    }
    same->points.insert(same->points.end(), std::make_move_iterator(metric.points.begin()),
                        std::make_move_iterator(metric.points.end()));
  }
  return out;
}

} // namespace talaria::gateway
