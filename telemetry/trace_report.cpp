#include "telemetry/trace_report.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <span>

namespace talaria::telemetry {

namespace {

constexpr std::size_t kPoints = 600; ///< of a curve

double micros(i64 ns) {
  return static_cast<double>(ns) * 1e-3;
}

Latency latency_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  Latency out;
  out.count = values.size();
  for (const double v : values) out.total += v;
  out.p50 = percentile(values, 50);
  out.p95 = percentile(values, 95);
  out.p99 = percentile(values, 99);
  out.most = values.empty() ? 0 : values.back();
  return out;
}

/// At most kPoints runs of neighbours, which are all values.
template <class T>
std::vector<std::span<const T>> runs_of(const std::vector<T>& values) {
  const std::size_t step = values.size() / kPoints + 1;
  std::vector<std::span<const T>> runs;
  for (std::size_t i = 0; i < values.size(); i += step)
    runs.push_back(std::span(values).subspan(i, std::min(step, values.size() - i)));
  return runs;
}

/// Lower means: of several spans of one micro-batch at one moment, this one gets the time.
int precedence(SpanKind kind) {
  switch (kind) {
  case SpanKind::copy:
  case SpanKind::recombine:
    return 0;
  case SpanKind::product:
    return 1;
  case SpanKind::wire_up:
  case SpanKind::wire_down:
    return 3;
  case SpanKind::queue:
    return 4;
  case SpanKind::mailbox:
    return 5;
  default:
    return 2;
  }
}

struct MicroBatch {
  u64 id = 0;
  std::vector<const TraceSpan*> spans; ///< in order of their beginning
  Interval life;
  u32 rows = 0;
  u32 sequences = 0;
  u64 trace = 0;
  bool embedded = false; ///< its first and last stage are in the trace
  bool sampled = false;

  bool whole() const { return embedded && sampled; }
  std::string_view phase() const {
    if (!whole()) return "unknown";
    return rows == sequences ? "decode" : "prefill";
  }
};

std::vector<MicroBatch> micro_batches_of(const Trace& trace) {
  std::map<u64, MicroBatch> by_id;
  for (const TraceSpan& span : trace.spans) {
    if (span.labels.micro_batch == 0) continue;
    MicroBatch& batch = by_id[span.labels.micro_batch];
    batch.id = span.labels.micro_batch;
    batch.spans.push_back(&span);
    if (span.kind == SpanKind::sample) batch.sampled = true;
    if (span.kind != SpanKind::embed) continue;
    batch.embedded = true;
    batch.rows = span.labels.rows;
    batch.sequences = span.labels.sequences;
    batch.trace = span.labels.trace;
  }
  std::vector<MicroBatch> out;
  for (auto& [id, batch] : by_id) {
    std::stable_sort(
        batch.spans.begin(), batch.spans.end(),
        [](const TraceSpan* a, const TraceSpan* b) { return a->when.begin < b->when.begin; });
    batch.life = batch.spans.front()->when;
    for (const TraceSpan* span : batch.spans)
      batch.life.end = std::max(batch.life.end, span->when.end);
    out.push_back(std::move(batch));
  }
  return out;
}

/// Splits the life of a micro-batch among its stages; what is left was waiting.
std::array<i64, kSpanKinds> attribute(const MicroBatch& batch) {
  std::vector<i64> times;
  for (const TraceSpan* span : batch.spans) {
    times.push_back(span->when.begin);
    times.push_back(span->when.end);
  }
  std::sort(times.begin(), times.end());
  times.erase(std::unique(times.begin(), times.end()), times.end());
  std::array<i64, kSpanKinds> spent{};
  std::vector<const TraceSpan*> active;
  auto next = batch.spans.begin();
  for (std::size_t t = 0; t + 1 < times.size(); ++t) {
    std::erase_if(active, [&](const TraceSpan* span) { return span->when.end <= times[t]; });
    for (; next != batch.spans.end() && (*next)->when.begin <= times[t]; ++next)
      if ((*next)->when.end > times[t]) active.push_back(*next);
    const auto first =
        std::min_element(active.begin(), active.end(), [](const TraceSpan* a, const TraceSpan* b) {
          return precedence(a->kind) < precedence(b->kind);
        });
    if (first != active.end())
      spent[static_cast<std::size_t>((*first)->kind)] += times[t + 1] - times[t];
  }
  return spent;
}

std::vector<Interval> outside_of(const MicroBatch& batch) {
  std::vector<Interval> outside;
  for (const TraceSpan* span : batch.spans)
    if (is_outside(span->kind)) outside.push_back(span->when);
  return merged(std::move(outside));
}

/// "layers.0.qkv" by matrix number, as the mask stages are called.
std::map<u32, std::string> matrix_names(const Trace& trace) {
  std::map<u32, std::string> names;
  for (const TraceSpan& span : trace.spans)
    if (span.kind == SpanKind::mask && span.labels.matrix != kNoMatrix &&
        span.thread.ends_with(".mask"))
      names.emplace(span.labels.matrix, span.thread.substr(0, span.thread.size() - 5));
  return names;
}

/// The processes that multiply: whatever stands on one of them is no work of the enclave.
std::set<std::string> workers_of(const Trace& trace) {
  std::set<std::string> workers;
  for (const TraceSpan& span : trace.spans)
    if (is_outside(span.kind) || span.kind == SpanKind::queue) workers.insert(span.process);
  return workers;
}

class Analyst {
public:
  /// `origin`: of the report's times.
  Analyst(const Trace& trace, const std::set<std::string>& workers, i64 origin)
      : origin_(origin), batches_(micro_batches_of(trace)), names_(matrix_names(trace)),
        activity_(work_inside(trace, workers)) {}

  std::optional<Phase> phase(std::string_view name) const {
    std::vector<const MicroBatch*> batches;
    for (const MicroBatch& batch : batches_)
      if (batch.phase() == name) batches.push_back(&batch);
    if (batches.empty()) return std::nullopt;
    Phase phase;
    phase.name = name;
    phase.micro_batches = batches.size();
    std::vector<double> lives;
    std::array<i64, kSpanKinds> spent{};
    for (const MicroBatch* batch : batches) {
      phase.rows += batch->rows;
      lives.push_back(micros(batch->life.end - batch->life.begin));
      const auto part = attribute(*batch);
      for (std::size_t k = 0; k < kSpanKinds; ++k) spent[k] += part[k];
      add_overlap(phase, *batch);
    }
    phase.life = latency_of(std::move(lives));
    phase.course = course(batches);
    add_stages(phase, batches, spent);
    if (batches.front()->whole()) phase.waterfall = waterfall(typical(batches));
    return phase;
  }

private:
  static std::vector<Activity::Work> work_inside(const Trace& trace,
                                                 const std::set<std::string>& workers) {
    const auto works = [](SpanKind kind) {
      return is_inside(kind) || kind == SpanKind::pack || kind == SpanKind::unpack;
    };
    std::vector<Activity::Work> work;
    for (const TraceSpan& span : trace.spans)
      if (works(span.kind) && span.labels.micro_batch != 0 && !workers.contains(span.process))
        work.push_back({span.labels.micro_batch, span.when});
    return work;
  }

  void add_overlap(Phase& phase, const MicroBatch& batch) const {
    for (const Interval& outside : outside_of(batch)) {
      phase.outside += micros(outside.end - outside.begin);
      phase.hidden += micros(total_length(activity_.of_others(batch.id, outside)));
    }
    for (const TraceSpan* span : batch.spans) {
      phase.bytes_up += span->labels.bytes_up;
      phase.bytes_down += span->labels.bytes_down;
    }
  }

  static void add_stages(Phase& phase, const std::vector<const MicroBatch*>& batches,
                         const std::array<i64, kSpanKinds>& spent) {
    std::array<std::vector<double>, kSpanKinds> durations;
    for (const MicroBatch* batch : batches)
      for (const TraceSpan* span : batch->spans)
        durations[static_cast<std::size_t>(span->kind)].push_back(
            micros(span->when.end - span->when.begin));
    double shares = 0;
    for (std::size_t k = 0; k < kSpanKinds; ++k) {
      if (durations[k].empty()) continue;
      StageFigures stage;
      stage.kind = static_cast<SpanKind>(k);
      stage.latency = latency_of(std::move(durations[k]));
      stage.share = phase.life.total > 0 ? micros(spent[k]) / phase.life.total : 0;
      shares += stage.share;
      phase.stages.push_back(std::move(stage));
    }
    phase.waiting = std::max(0.0, 1.0 - shares);
  }

  /// One in the middle of those with the most rows; in decoding, of all.
  static const MicroBatch& typical(std::vector<const MicroBatch*> batches) {
    const auto fewer_rows = [](const MicroBatch* a, const MicroBatch* b) {
      return a->rows < b->rows;
    };
    const u32 most = (*std::max_element(batches.begin(), batches.end(), fewer_rows))->rows;
    if (batches.front()->phase() == "prefill")
      std::erase_if(batches, [most](const MicroBatch* batch) { return batch->rows < most; });
    const auto length = [](const MicroBatch* batch) { return batch->life.end - batch->life.begin; };
    std::stable_sort(batches.begin(), batches.end(),
                     [&](const auto* a, const auto* b) { return length(a) < length(b); });
    return *batches[(batches.size() - 1) / 2];
  }

  /// The longest life of each run: what a picture of them is looked at for.
  std::vector<Moment> course(std::vector<const MicroBatch*> batches) const {
    std::sort(batches.begin(), batches.end(), [](const MicroBatch* a, const MicroBatch* b) {
      return a->life.begin < b->life.begin;
    });
    const auto length = [](const MicroBatch* batch) { return batch->life.end - batch->life.begin; };
    std::vector<Moment> out;
    for (const auto run : runs_of(batches)) {
      const MicroBatch* longest =
          *std::max_element(run.begin(), run.end(), [&](const MicroBatch* a, const MicroBatch* b) {
            return length(a) < length(b);
          });
      out.push_back({micros(longest->life.begin - origin_), micros(length(longest))});
    }
    return out;
  }

  Waterfall waterfall(const MicroBatch& batch) const {
    const i64 origin = batch.life.begin;
    Waterfall out;
    out.micro_batch = batch.id;
    out.trace = batch.trace;
    out.rows = batch.rows;
    out.length = micros(batch.life.end - origin);
    for (const TraceSpan* span : batch.spans) {
      const auto name = names_.find(span->labels.matrix);
      out.bars.push_back({span->kind, micros(span->when.begin - origin),
                          micros(span->when.end - origin),
                          name != names_.end() ? name->second : span->thread, span->process,
                          span->labels.rows, span->labels.joined_rows});
    }
    for (const Interval& i : activity_.of_others(batch.id, batch.life))
      out.others.push_back({micros(i.begin - origin), micros(i.end - origin)});
    return out;
  }

  i64 origin_;
  std::vector<MicroBatch> batches_;
  std::map<u32, std::string> names_;
  Activity activity_;
};

/// The lowest level of each run.
std::vector<MaskStock> thinned(const std::vector<MaskStock>& stock) {
  std::vector<MaskStock> out;
  for (const auto run : runs_of(stock))
    out.push_back(
        *std::min_element(run.begin(), run.end(), [](const MaskStock& a, const MaskStock& b) {
          return a.bytes < b.bytes;
        }));
  return out;
}

} // namespace

double percentile(const std::vector<double>& sorted, double p) noexcept {
  if (sorted.empty()) return 0;
  const double rank = std::ceil(p / 100 * static_cast<double>(sorted.size()));
  const auto at = static_cast<std::size_t>(std::max(rank, 1.0)) - 1;
  return sorted[std::min(at, sorted.size() - 1)];
}

TraceReport analyse(const Trace& trace) {
  TraceReport report;
  report.spans = trace.spans.size();
  report.dropped_spans = trace.dropped_spans;
  report.stock = thinned(trace.stock);
  std::vector<double> requests;
  const std::set<std::string> workers = workers_of(trace);
  Interval all = trace.spans.empty() ? Interval{} : trace.spans.front().when;
  for (const TraceSpan& span : trace.spans) {
    all = {std::min(all.begin, span.when.begin), std::max(all.end, span.when.end)};
    if (span.kind != SpanKind::request) continue;
    requests.push_back(micros(span.when.end - span.when.begin));
    report.prompt_tokens += span.labels.rows;
    report.answer_tokens += span.labels.tokens;
  }
  report.length = micros(all.end - all.begin);
  report.requests = latency_of(std::move(requests));
  report.workers.assign(workers.begin(), workers.end());
  const Analyst analyst(trace, workers, all.begin);
  for (const char* name : {"decode", "prefill", "unknown"})
    if (auto phase = analyst.phase(name)) report.phases.push_back(*std::move(phase));
  for (MaskStock& level : report.stock) level.time -= all.begin;
  return report;
}

} // namespace talaria::telemetry
