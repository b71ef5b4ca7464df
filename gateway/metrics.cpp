#include "gateway/metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include "gateway/engine_metrics.hpp"
#include "gateway/otlp_figures.hpp"

namespace talaria::gateway {

namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = MetricLabels;
using Buckets = prometheus::Histogram::BucketBoundaries;

// vLLM's buckets, so that its dashboards fit.
const Buckets kFirstToken{0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,  0.25,  0.5,   0.75,
                          1.0,   2.5,   5.0,  7.5,  10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0};
const Buckets kPerToken{0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2,  0.3,  0.4, 0.5,
                        0.75, 1.0,   2.5,  5.0,   7.5, 10.0, 20.0, 40.0, 80.0};
const Buckets kLatency{0.3,  0.5,  0.8,  1.0,  1.5,   2.0,   2.5,   5.0,   10.0,   15.0,  20.0,
                       30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0};
const Buckets kAnswers{1, 2, 5, 10, 20};

/// 1, 2, 5, 10, ... up to `most`, as vLLM has them.
Buckets token_buckets(u32 most) {
  Buckets out;
  for (double decade = 1; decade <= most; decade *= 10)
    for (const double step : {1.0, 2.0, 5.0})
      if (step * decade <= most) out.push_back(step * decade);
  return out;
}

prometheus::Counter& counter(prometheus::Registry& registry, const char* name, const char* help,
                             const Labels& labels) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add(labels);
}

prometheus::Histogram& histogram(prometheus::Registry& registry, const char* name, const char* help,
                                 const Labels& labels, const Buckets& buckets) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add(labels, buckets);
}

constexpr std::size_t kCoarse = 256; // tokens

/// What would tell the lengths of prompts and answers that masking.padding hides.
struct ExactFigures {
  using Histogram = prometheus::Histogram;
  ExactFigures(prometheus::Registry& registry, const Labels& labels, u32 context)
      : prefill(histogram(registry, "vllm:request_prefill_time_seconds",
                          "From the first row of a prompt to the first token", labels, kLatency)),
        decode(histogram(registry, "vllm:request_decode_time_seconds",
                         "From the first token to the last", labels, kLatency)),
        inference(histogram(registry, "vllm:request_inference_time_seconds",
                            "From the first row of a prompt to the last token", labels, kLatency)),
        max_tokens(histogram(registry, "vllm:request_params_max_tokens", "Tokens that were allowed",
                             labels, token_buckets(context))) {}
  Histogram& prefill;
  Histogram& decode;
  Histogram& inference;
  Histogram& max_tokens;
};

} // namespace

struct Metrics::Impl {
  Impl(const pipeline::Engine& asked, const Admission& counted, const std::string& model,
       bool is_coarse)
      : engine(asked), admission(counted), labels{{"model_name", model}}, coarse(is_coarse),
        context(asked.plan().max_position) {
    if (!coarse) exact.emplace(registry, labels, context);
  }
  double counted(std::size_t tokens) const {
    return static_cast<double>(coarse ? (tokens + kCoarse - 1) / kCoarse * kCoarse : tokens);
  }
  void between_tokens(double seconds) {
    inter_token.Observe(seconds);
    per_token.Observe(seconds);
  }
  void observe_times(const pipeline::Timings& timings, const AnswerFacts& facts);
  std::vector<MetricFamily> families() const;

  const pipeline::Engine& engine;
  const Admission& admission;
  const Labels labels;
  const bool coarse;
  const u32 context;
  std::shared_ptr<const telemetry::OtlpExporter> exporter; ///< null: there is none
  prometheus::Registry registry;
  prometheus::Counter& prompt_tokens =
      counter(registry, "vllm:prompt_tokens_total", "Prompt tokens processed", labels);
  prometheus::Counter& generation_tokens =
      counter(registry, "vllm:generation_tokens_total", "Tokens generated", labels);
  prometheus::Histogram& first_token =
      histogram(registry, "vllm:time_to_first_token_seconds",
                "From the arrival of a request to its first token", labels, kFirstToken);
  prometheus::Histogram& inter_token = histogram(registry, "vllm:inter_token_latency_seconds",
                                                 "Between two tokens", labels, kPerToken);
  prometheus::Histogram& per_token =
      histogram(registry, "vllm:time_per_output_token_seconds",
                "The same, by the name it had in older versions of vLLM", labels, kPerToken);
  prometheus::Histogram& mean_per_token =
      histogram(registry, "vllm:request_time_per_output_token_seconds",
                "Mean time between two tokens of an answer", labels, kPerToken);
  prometheus::Histogram& latency =
      histogram(registry, "vllm:e2e_request_latency_seconds",
                "From the arrival of a request to its end", labels, kLatency);
  prometheus::Histogram& queue =
      histogram(registry, "vllm:request_queue_time_seconds",
                "From the arrival of a request to the first row of its prompt", labels, kLatency);
  prometheus::Histogram& prompt_length = histogram(
      registry, "vllm:request_prompt_tokens", "Tokens of a prompt", labels, token_buckets(context));
  prometheus::Histogram& answer_length =
      histogram(registry, "vllm:request_generation_tokens", "Tokens of an answer", labels,
                token_buckets(context));
  prometheus::Histogram& answers =
      histogram(registry, "vllm:request_params_n", "Answers that were asked for", labels, kAnswers);
  std::optional<ExactFigures> exact;
  prometheus::Family<prometheus::Counter>& ends = prometheus::BuildCounter()
                                                      .Name("vllm:request_success_total")
                                                      .Help("Answers, by why they ended")
                                                      .Register(registry);
  prometheus::Family<prometheus::Counter>& errors =
      prometheus::BuildCounter()
          .Name("talaria_errors_total")
          .Help("Answers that failed, by what failed (docs/operations.md)")
          .Register(registry);
  prometheus::Family<prometheus::Counter>& responses = prometheus::BuildCounter()
                                                           .Name("talaria_http_responses_total")
                                                           .Help("HTTP responses")
                                                           .Register(registry);
  prometheus::Counter* receipts = nullptr; ///< null: none are signed
};

Metrics::Metrics(const pipeline::Engine& engine, const Admission& admission,
                 const std::string& model, bool coarse)
    : impl_(std::make_shared<Impl>(engine, admission, model, coarse)) {
  // There from the start, so that an alert sees the first of them.
  for (const Errc code : {Errc::verification, Errc::no_worker, Errc::internal})
    impl_->errors.Add({{"code", to_string(code)}});
  for (const char* reason : {"stop", "length", "abort", "error"}) {
    Labels labels = impl_->labels;
    labels["finished_reason"] = reason;
    impl_->ends.Add(labels);
  }
}

Metrics::~Metrics() = default;

void Metrics::attested(bool simulated) {
  prometheus::BuildGauge()
      .Name("talaria_attestation_simulated")
      .Help("1: evidence of this server is simulated and proves nothing")
      .Register(impl_->registry)
      .Add({})
      .Set(simulated ? 1 : 0);
}

void Metrics::signs_receipts() {
  impl_->receipts = &counter(impl_->registry, "talaria_receipts_total",
                             "Receipts that were signed for answers", impl_->labels);
}

void Metrics::receipt_signed() {
  if (impl_->receipts != nullptr) impl_->receipts->Increment();
}

void Metrics::built(const std::string& version) {
  Labels labels = impl_->labels;
  labels["version"] = version;
  prometheus::BuildGauge()
      .Name("talaria_build_info")
      .Help("1, with the version of this program")
      .Register(impl_->registry)
      .Add(labels)
      .Set(1);
}

TokenTimes::Between Metrics::between_tokens() const {
  if (impl_->coarse) return {};
  return [impl = impl_](double seconds) { impl->between_tokens(seconds); };
}

void Metrics::Impl::observe_times(const pipeline::Timings& timings, const AnswerFacts& facts) {
  const double prefill = (timings.ttft_ms - timings.queue_ms) / 1e3;
  queue.Observe(facts.queued_s + timings.queue_ms / 1e3);
  first_token.Observe(facts.queued_s + timings.ttft_ms / 1e3);
  if (timings.decode_tokens_per_s > 0) mean_per_token.Observe(1 / timings.decode_tokens_per_s);
  // The count would tell the tokens: one in all, of the mean.
  if (coarse && timings.decode_tokens_per_s > 0) between_tokens(1 / timings.decode_tokens_per_s);
  if (!exact) return;
  exact->prefill.Observe(prefill);
  exact->decode.Observe(timings.decode_ms / 1e3);
  exact->inference.Observe(prefill + timings.decode_ms / 1e3);
  exact->max_tokens.Observe(facts.max_tokens);
}

void Metrics::answered(const pipeline::Completion& completion, const AnswerFacts& facts) {
  Labels labels = impl_->labels;
  const bool cancelled = completion.reason == pipeline::FinishReason::cancelled;
  labels["finished_reason"] = cancelled ? "abort" : to_string(completion.reason); // vLLM's word
  impl_->ends.Add(labels).Increment();
  if (completion.error)
    impl_->errors.Add({{"code", to_string(completion.error->code())}}).Increment();
  impl_->latency.Observe(facts.latency_s);
  if (completion.tokens.empty()) return;
  const double prompt = impl_->counted(facts.prompt_tokens);
  const double answer = impl_->counted(completion.tokens.size());
  impl_->prompt_tokens.Increment(prompt);
  impl_->generation_tokens.Increment(answer);
  impl_->prompt_length.Observe(prompt);
  impl_->answer_length.Observe(answer);
  impl_->answers.Observe(facts.answers);
  impl_->observe_times(completion.timings, facts);
}

void Metrics::responded(const std::string& path, int status) {
  impl_->responses.Add({{"path", path}, {"status", std::to_string(status)}}).Increment();
}

Metrics::Totals Metrics::totals() const {
  return {impl_->prompt_tokens.Value(), impl_->generation_tokens.Value()};
}

void Metrics::exported_by(std::shared_ptr<const telemetry::OtlpExporter> exporter) {
  impl_->exporter = std::move(exporter);
}

std::vector<telemetry::OtlpMetric> Metrics::figures() const {
  return otlp_figures(impl_->families());
}

std::string Metrics::text() const {
  return prometheus::TextSerializer().Serialize(impl_->families());
}

std::vector<MetricFamily> Metrics::Impl::families() const {
  std::vector<MetricFamily> families = registry.Collect();
  const Admission::Load load = admission.load();
  families.push_back(single("vllm:num_requests_running", "Answers being made", MetricType::Gauge,
                            labels, static_cast<double>(load.running)));
  families.push_back(single("vllm:num_requests_waiting", "Answers waiting to be made",
                            MetricType::Gauge, labels, static_cast<double>(load.waiting)));
  add_engine_metrics(engine, labels, coarse, families);
  add_process_metrics(families);
  if (exporter) {
    const auto counts = exporter->counts();
    families.push_back(single("talaria_otlp_sent_spans_total",
                              "Spans that the OpenTelemetry collector has taken",
                              MetricType::Counter, {}, static_cast<double>(counts.sent)));
    families.push_back(single("talaria_otlp_dropped_spans_total",
                              "Spans that found no place in the queue, or that it did not take",
                              MetricType::Counter, {}, static_cast<double>(counts.dropped)));
  }
  return families;
}

} // namespace talaria::gateway
