#include "gateway/engine_metrics.hpp"

#include <string_view>

namespace talaria::gateway {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = MetricLabels;

ClientMetric sample(MetricType type, Labels labels, double value) {
  ClientMetric metric;
  for (auto& [name, text] : labels) metric.label.push_back({name, text});
  if (type == MetricType::Counter)
    metric.counter.value = value;
  else
    metric.gauge.value = value;
  return metric;
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
  out.push_back(single("talaria_mask_rows_dropped_total",
                       "Mask rows made and never to be used, after this machine was copied",
                       MetricType::Counter, {}, static_cast<double>(masks.rows_dropped)));
  out.push_back(single("talaria_mask_making_seconds_total", "CPU time that made mask rows",
                       MetricType::Counter, {}, masks.making_seconds));
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
  out.push_back(single("vllm:num_preemptions_total",
                       "Times an answer gave this memory to others and began again",
                       MetricType::Counter, labels, static_cast<double>(kv.preemptions)));
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

/// As vLLM has them, by where drafts come from.
void add_drafts(const pipeline::Engine& engine, const Labels& labels,
                std::vector<MetricFamily>& out) {
  using pipeline::DraftKind;
  MetricFamily rounds{"vllm:spec_decode_num_drafts_total",
                      "Rounds in which tokens were guessed",
                      MetricType::Counter,
                      {}};
  MetricFamily drafted{"vllm:spec_decode_num_draft_tokens_total",
                       "Tokens that were guessed",
                       MetricType::Counter,
                       {}};
  MetricFamily accepted{"vllm:spec_decode_num_accepted_tokens_total",
                        "Of these, tokens of answers",
                        MetricType::Counter,
                        {}};
  MetricFamily places{"vllm:spec_decode_num_accepted_tokens_per_pos_total",
                      "The same, by the place of the guess in its round",
                      MetricType::Counter,
                      {}};
  const auto report = engine.draft_model();
  for (const DraftKind kind : pipeline::kDraftKinds) {
    if (kind == DraftKind::model && !report) continue;
    const pipeline::DraftCounts counts = engine.draft_counts(kind);
    Labels of_kind = labels;
    of_kind["kind"] = to_string(kind);
    const auto add = [&](MetricFamily& family, u64 value) {
      family.metric.push_back(sample(MetricType::Counter, of_kind, static_cast<double>(value)));
    };
    add(rounds, counts.rounds);
    add(drafted, counts.drafted);
    add(accepted, counts.accepted);
    for (u32 i = 0; i < engine.drafts(); ++i) {
      of_kind["position"] = std::to_string(i);
      add(places, counts.by_position[i]);
    }
  }
  for (MetricFamily* family : {&rounds, &drafted, &accepted, &places})
    out.push_back(std::move(*family));
  if (!report) return;
  MetricFamily bytes{"talaria_draft_model_bytes",
                     "Memory of the model that guesses: weights, and keys and values in use",
                     MetricType::Gauge,
                     {}};
  bytes.metric = {
      sample(MetricType::Gauge, {{"part", "weights"}}, static_cast<double>(report->weight_bytes)),
      sample(MetricType::Gauge, {{"part", "keys_values"}}, static_cast<double>(report->kv_used))};
  out.push_back(std::move(bytes));
}

/// By name and state; 0 says that a stage has not been at work.
void add_stages(const telemetry::StageTimes& stages, std::vector<MetricFamily>& out) {
  MetricFamily seconds{"talaria_stage_seconds_total",
                       "Time of all spans of a stage; stages overlap (docs/operations.md)",
                       MetricType::Counter,
                       {}};
  MetricFamily spans{"talaria_stage_spans_total",
                     "Spans of a stage, as a trace has them",
                     MetricType::Counter,
                     {}};
  for (std::size_t i = 0; i < stages.size(); ++i) {
    const Labels labels{{"stage", std::string(to_string(static_cast<telemetry::SpanKind>(i)))}};
    seconds.metric.push_back(sample(MetricType::Counter, labels, stages[i].seconds));
    spans.metric.push_back(
        sample(MetricType::Counter, labels, static_cast<double>(stages[i].spans)));
  }
  out.push_back(std::move(seconds));
  out.push_back(std::move(spans));
}

} // namespace

MetricFamily single(const char* name, const char* help, MetricType type, const Labels& labels,
                    double value) {
  return {name, help, type, {sample(type, labels, value)}};
}

void add_engine_metrics(const pipeline::Engine& engine, const Labels& labels, bool coarse,
                        std::vector<MetricFamily>& out) {
  add_workers(engine.workers(), out);
  add_masks(engine.mask_stats(), out);
  if (coarse) return;
  add_padding(engine.padding_cost(), out);
  if (engine.drafts() > 0) add_drafts(engine, labels, out);
  add_keys_and_values(engine.kv_report(), labels, out);
  add_stages(engine.stage_times(), out);
}

} // namespace talaria::gateway
