#include "telemetry/trace_merge.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>

namespace talaria::telemetry {

namespace {

/// What a span is of, whoever drew it.
using Identity = std::tuple<SpanKind, std::string, u64, u64, u32>;

Identity identity_of(const TraceSpan& span) {
  return {span.kind, span.process, span.labels.trace, span.labels.micro_batch, span.labels.matrix};
}

/// A worker may be asked for the same product twice, so the first of each is looked at.
std::map<Identity, i64> products_of(const Trace& trace) {
  std::map<Identity, i64> begins;
  for (const TraceSpan& span : trace.spans)
    if (span.kind == SpanKind::product && span.labels.micro_batch != 0)
      begins.emplace(identity_of(span), span.when.begin);
  return begins;
}

i64 median(std::vector<i64> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

class Merger {
public:
  explicit Merger(Trace first) : products_(products_of(first)) {
    all_.wall_origin = first.wall_origin;
    add(std::move(first), 0);
  }

  void add_other(Trace other) {
    const i64 shift = shift_of(other);
    std::erase_if(other.spans, [this](const TraceSpan& span) {
      return drawn_by_both(span) && seen_.contains(identity_of(span));
    });
    add(std::move(other), shift);
  }

  Recording finish() && { return std::move(all_); }

private:
  static bool drawn_by_both(const TraceSpan& span) {
    return span.labels.micro_batch != 0 && (is_outside(span.kind) || span.kind == SpanKind::queue);
  }

  /// What is added to times of `other` to give times of the first.
  i64 shift_of(const Trace& other) const {
    std::vector<i64> shifts;
    for (const auto& [identity, begin] : products_of(other))
      if (const auto same = products_.find(identity); same != products_.end())
        shifts.push_back(same->second - begin);
    return shifts.empty() ? other.wall_origin - all_.wall_origin : median(std::move(shifts));
  }

  u32 track(const std::string& process, const std::string& thread) {
    const auto [known, is_new] = tracks_.try_emplace({process, thread}, 0);
    if (is_new) known->second = all_.track(process, thread);
    return known->second;
  }

  void add(Trace trace, i64 shift) {
    for (const TraceSpan& span : trace.spans) {
      if (drawn_by_both(span)) seen_.insert(identity_of(span));
      all_.events.push_back({span.when.begin + shift, span.when.end + shift, kDidNotWait,
                             track(span.process, span.thread), span.kind, span.labels});
    }
    for (const MaskStock& level : trace.stock)
      all_.stock.push_back({level.time + shift, track(level.process, "masks"), level.bytes});
    all_.carried.merge(trace.carried);
    all_.dropped += trace.dropped_spans;
  }

  Recording all_;
  const std::map<Identity, i64> products_; ///< of the first trace
  std::set<Identity> seen_;
  std::map<std::pair<std::string, std::string>, u32> tracks_;
};

} // namespace

Recording merge(std::vector<Trace> traces) {
  if (traces.empty()) return {};
  Merger merger(std::move(traces.front()));
  for (std::size_t i = 1; i < traces.size(); ++i) merger.add_other(std::move(traces[i]));
  return std::move(merger).finish();
}

} // namespace talaria::telemetry
