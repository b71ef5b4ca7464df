#include "gateway/metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <functional>
#include <iterator>

namespace talaria::gateway {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = prometheus::Labels;
using Buckets = prometheus::Histogram::BucketBoundaries;

// vLLM's buckets, so that its dashboards fit.
const Buckets kFirstToken{0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,  0.25, 0.5,
                          0.75,  1.0,   2.5,  5.0,  7.5,  10.0, 20.0, 40.0, 80.0};
const Buckets kPerToken{0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2,  0.3,  0.4,
                        0.5,  0.75,  1.0,  2.5,   5.0, 7.5,  10.0, 20.0, 40.0};
const Buckets kLatency{0.3,  0.5,  0.8,  1.0,  1.5,  2.0,   2.5,   5.0,   10.0,  15.0,
                       20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0};

prometheus::Counter& counter(prometheus::Registry& registry, const char* name, const char* help,
                             const Labels& labels) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add(labels);
}

prometheus::Histogram& histogram(prometheus::Registry& registry, const char* name, const char* help,
                                 const Labels& labels, const Buckets& buckets) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add(labels, buckets);
}

constexpr std::size_t kCoarse = 256; // tokens

ClientMetric sample(MetricType type, Labels labels, double value) {
  ClientMetric metric;
  for (auto& [name, text] : labels) metric.label.push_back({name, text});
  if (type == MetricType::Counter)
    metric.counter.value = value;
  else
    metric.gauge.value = value;
  return metric;
}

MetricFamily single(const char* name, const char* help, MetricType type, const Labels& labels,
                    double value) {
  return {name, help, type, {sample(type, labels, value)}};
}

struct WorkerFigure {
  const char* name;
  const char* help;
  MetricType type;
  double (*of)(const pipeline::WorkerReport&);
};

constexpr WorkerFigure kWorkerFigures[] = {
    {"talaria_worker_products_total", "Products a worker has answered", MetricType::Counter,
     [](const pipeline::WorkerReport& w) { return static_cast<double>(w.requests); }},
    {"talaria_worker_rows_total", "Masked rows in those products", MetricType::Counter,
     [](const pipeline::WorkerReport& w) { return static_cast<double>(w.rows); }},
    {"talaria_worker_sent_bytes_total", "Bytes of masked tensors sent to a worker",
     MetricType::Counter,
     [](const pipeline::WorkerReport& w) { return static_cast<double>(w.bytes_in); }},
    {"talaria_worker_received_bytes_total", "Bytes of products a worker sent back",
     MetricType::Counter,
     [](const pipeline::WorkerReport& w) { return static_cast<double>(w.bytes_out); }},
    {"talaria_worker_reconnects_total", "Times a worker had to be connected again",
     MetricType::Counter,
     [](const pipeline::WorkerReport& w) { return static_cast<double>(w.reconnects); }},
    {"talaria_worker_in_flight", "Products a worker has been asked for and not answered",
     MetricType::Gauge,
     [](const pipeline::WorkerReport& w) { return static_cast<double>(w.in_flight); }},
    {"talaria_worker_strikes", "Deadlines missed in a row", MetricType::Gauge,
     [](const pipeline::WorkerReport& w) { return static_cast<double>(w.strikes); }},
    {"talaria_worker_round_trip_seconds", "Time to a worker and back", MetricType::Gauge,
     [](const pipeline::WorkerReport& w) { return w.round_trip_ms / 1e3; }},
    {"talaria_worker_weight_bytes", "Weights a worker holds", MetricType::Gauge,
     [](const pipeline::WorkerReport& w) { return static_cast<double>(w.weight_bytes); }},
};

void add_workers(const std::vector<pipeline::WorkerReport>& workers,
                 std::vector<MetricFamily>& out) {
  MetricFamily states{"talaria_worker_state",
                      "1 for the state a worker is in, 0 for the others",
                      MetricType::Gauge,
                      {}};
  for (const auto& worker : workers)
    for (const char* state : {"ready", "connecting", "quarantined"})
      states.metric.push_back(sample(MetricType::Gauge, {{"worker", worker.name}, {"state", state}},
                                     worker.state == state ? 1 : 0));
  out.push_back(std::move(states));
  for (const WorkerFigure& figure : kWorkerFigures) {
    MetricFamily family{figure.name, figure.help, figure.type, {}};
    for (const auto& worker : workers)
      family.metric.push_back(sample(figure.type, {{"worker", worker.name}}, figure.of(worker)));
    out.push_back(std::move(family));
  }
}

void add_masks(const remo::MaskPool::Stats& masks, std::vector<MetricFamily>& out) {
  MetricFamily rows{"talaria_mask_rows_total",
                    "Mask rows made, ahead of need or while it waited",
                    MetricType::Counter,
                    {}};
  rows.metric = {
      sample(MetricType::Counter, {{"made", "ahead"}}, static_cast<double>(masks.rows_made_ahead)),
      sample(MetricType::Counter, {{"made", "inline"}},
             static_cast<double>(masks.rows_made_inline))};
  out.push_back(std::move(rows));
  out.push_back(single("talaria_mask_stalls_total", "Times the stock of mask rows was too low",
                       MetricType::Counter, {}, static_cast<double>(masks.stalls)));
  out.push_back(single("talaria_mask_pool_bytes", "Mask rows in stock", MetricType::Gauge, {},
                       static_cast<double>(masks.bytes)));
}

void add_keys_and_values(const pipeline::KvReport& kv, const Labels& labels,
                         std::vector<MetricFamily>& out) {
  const auto budget = static_cast<double>(kv.usage.budget);
  const auto used = static_cast<double>(kv.usage.used);
  out.push_back(single("vllm:kv_cache_usage_perc", "Share of the memory for keys and values in use",
                       MetricType::Gauge, labels, used / budget));
  out.push_back(single("talaria_kv_budget_bytes", "Memory for keys and values", MetricType::Gauge,
                       {}, budget));
  MetricFamily bytes{"talaria_kv_bytes",
                     "Of it, what holds keys and values, and what running answers may still take",
                     MetricType::Gauge,
                     {}};
  bytes.metric.push_back(sample(MetricType::Gauge, {{"state", "used"}}, used));
  bytes.metric.push_back(
      sample(MetricType::Gauge, {{"state", "reserved"}}, static_cast<double>(kv.usage.reserved)));
  out.push_back(std::move(bytes));
  out.push_back(single("vllm:prefix_cache_queries_total",
                       "Prompt tokens that were looked for among computed prefixes",
                       MetricType::Counter, labels, static_cast<double>(kv.prefixes.queries)));
  out.push_back(single("vllm:prefix_cache_hits_total", "Of these, tokens that were found",
                       MetricType::Counter, labels, static_cast<double>(kv.prefixes.hits)));
  out.push_back(single("talaria_kv_waiting", "Answers that wait for this memory", MetricType::Gauge,
                       {}, static_cast<double>(kv.queued)));
}

void add_padding(const pipeline::PaddingCost& cost, std::vector<MetricFamily>& out) {
  const auto real = static_cast<double>(cost.rows - cost.dummy_rows);
  MetricFamily rows{
      "talaria_rows_total", "Rows of micro-batches, by what they carry", MetricType::Counter, {}};
  rows.metric = {
      sample(MetricType::Counter, {{"carry", "tokens"}}, real),
      sample(MetricType::Counter, {{"carry", "padding"}}, static_cast<double>(cost.dummy_rows))};
  out.push_back(std::move(rows));
  out.push_back(single("talaria_padding_rounds_total",
                       "Dummy rows that stood for an answer which had ended", MetricType::Counter,
                       {}, static_cast<double>(cost.dummy_rounds)));
  out.push_back(single("talaria_padding_late_total",
                       "Micro-batches that took longer than masking.padding.pace",
                       MetricType::Counter, {}, static_cast<double>(cost.late_rounds)));
}

} // namespace

struct Metrics::Impl {
  Impl(const pipeline::Engine& asked, const Admission& counted, const std::string& model,
       bool is_coarse)
      : engine(asked), admission(counted), labels{{"model_name", model}}, coarse(is_coarse) {}
  double counted(std::size_t tokens) const {
    return static_cast<double>(coarse ? (tokens + kCoarse - 1) / kCoarse * kCoarse : tokens);
  }

  const pipeline::Engine& engine;
  const Admission& admission;
  const Labels labels;
  const bool coarse;
  prometheus::Registry registry;
  prometheus::Counter& prompt_tokens =
      counter(registry, "vllm:prompt_tokens_total", "Prompt tokens processed", labels);
  prometheus::Counter& generation_tokens =
      counter(registry, "vllm:generation_tokens_total", "Tokens generated", labels);
  prometheus::Histogram& first_token =
      histogram(registry, "vllm:time_to_first_token_seconds",
                "From the arrival of a request to its first token", labels, kFirstToken);
  prometheus::Histogram& per_token = histogram(registry, "vllm:time_per_output_token_seconds",
                                               "Time per token after the first", labels, kPerToken);
  prometheus::Histogram& latency =
      histogram(registry, "vllm:e2e_request_latency_seconds",
                "From the arrival of a request to its end", labels, kLatency);
  prometheus::Family<prometheus::Counter>& ends = prometheus::BuildCounter()
                                                      .Name("vllm:request_success_total")
                                                      .Help("Answers, by why they ended")
                                                      .Register(registry);
  prometheus::Family<prometheus::Counter>& responses = prometheus::BuildCounter()
                                                           .Name("talaria_http_responses_total")
                                                           .Help("HTTP responses")
                                                           .Register(registry);
};

Metrics::Metrics(const pipeline::Engine& engine, const Admission& admission,
                 const std::string& model, bool coarse)
    : impl_(std::make_unique<Impl>(engine, admission, model, coarse)) {}

Metrics::~Metrics() = default;

void Metrics::attested(bool simulated) {
  prometheus::BuildGauge()
      .Name("talaria_attestation_simulated")
      .Help("1: evidence of this server is simulated and proves nothing")
      .Register(impl_->registry)
      .Add({})
      .Set(simulated ? 1 : 0);
}

void Metrics::answered(const pipeline::Completion& completion, std::size_t prompt_tokens,
                       double queued_s, double latency_s) {
  Labels labels = impl_->labels;
  const bool cancelled = completion.reason == pipeline::FinishReason::cancelled;
  labels["finished_reason"] = cancelled ? "abort" : to_string(completion.reason); // vLLM's word
  impl_->ends.Add(labels).Increment();
  impl_->latency.Observe(latency_s);
  if (completion.tokens.empty()) return;
  const pipeline::Timings& timings = completion.timings;
  impl_->prompt_tokens.Increment(impl_->counted(prompt_tokens));
  impl_->generation_tokens.Increment(impl_->counted(completion.tokens.size()));
  impl_->first_token.Observe(queued_s + timings.ttft_ms / 1e3);
  // One observation per token, as vLLM has it, each of this answer's mean: sum and count are exact.
  // Or one in all, as the count would tell the tokens.
  const std::size_t end =
      impl_->coarse ? std::min<std::size_t>(completion.tokens.size(), 2) : completion.tokens.size();
  if (timings.decode_tokens_per_s > 0)
    for (std::size_t i = 1; i < end; ++i) impl_->per_token.Observe(1 / timings.decode_tokens_per_s);
}

void Metrics::responded(const std::string& path, int status) {
  impl_->responses.Add({{"path", path}, {"status", std::to_string(status)}}).Increment();
}

std::string Metrics::text() const {
  std::vector<MetricFamily> families = impl_->registry.Collect();
  const Admission::Load load = impl_->admission.load();
  families.push_back(single("vllm:num_requests_running", "Answers being made", MetricType::Gauge,
                            impl_->labels, static_cast<double>(load.running)));
  families.push_back(single("vllm:num_requests_waiting", "Answers waiting to be made",
                            MetricType::Gauge, impl_->labels, static_cast<double>(load.waiting)));
  add_workers(impl_->engine.workers(), families);
  add_masks(impl_->engine.mask_stats(), families);
  if (impl_->coarse) return prometheus::TextSerializer().Serialize(families);
  add_padding(impl_->engine.padding_cost(), families);
  add_keys_and_values(impl_->engine.kv_report(), impl_->labels, families);
  return prometheus::TextSerializer().Serialize(families);
}

} // namespace talaria::gateway
