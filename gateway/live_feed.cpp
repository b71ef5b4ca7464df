#include "gateway/live_feed.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "gateway/api_error.hpp"

namespace talaria::gateway {

namespace {

using Json = nlohmann::ordered_json;
using FeedClock = std::chrono::steady_clock;

constexpr std::chrono::seconds kBetweenEvents{1};

double ms_between(FeedClock::time_point from, FeedClock::time_point to) {
  return std::max(0.0, std::chrono::duration<double, std::milli>(to - from).count());
}

/// The three stretches of a request's life so far; they add up to its length.
Json request_json(const LiveRequests::Line& line, FeedClock::time_point now) {
  const auto end = line.ended.value_or(now);
  const auto start = std::min(line.started.value_or(line.submitted.value_or(end)), end);
  const auto first = std::clamp(line.tokens ? line.tokens->first().value_or(end) : end, start, end);
  return {{"id", line.id},
          {"route", line.route},
          {"state", !line.outcome.empty() ? line.outcome
                    : !line.submitted     ? "waiting"
                    : first == end        ? "prefill"
                                          : "decode"},
          {"ago_ms", ms_between(line.arrived, now)},
          {"queue_ms", ms_between(line.arrived, start)},
          {"prefill_ms", ms_between(start, first)},
          {"decode_ms", ms_between(first, end)},
          {"answers", line.answers},
          {"prompt_tokens", line.prompt_tokens},
          {"tokens", line.tokens ? line.tokens->count() : 0}};
}

Json requests_json(const LiveRequests& requests) {
  Json list = Json::array();
  const auto now = FeedClock::now();
  for (const auto& line : requests.lines()) list.push_back(request_json(line, now));
  return list;
}

/// Neither a wait, nor what contains other stages, nor what is contained in a product.
bool is_counted_once(telemetry::SpanKind kind) {
  using telemetry::SpanKind;
  return kind != SpanKind::request && kind != SpanKind::mailbox && kind != SpanKind::queue &&
         kind != SpanKind::copy && kind != SpanKind::recombine;
}

Json stages_json(const telemetry::StageTimes& stages) {
  Json list = Json::array();
  for (std::size_t i = 0; i < stages.size(); ++i) {
    const auto kind = static_cast<telemetry::SpanKind>(i);
    if (stages[i].spans == 0 || !is_counted_once(kind)) continue;
    list.push_back({{"name", to_string(kind)},
                    {"inside", is_inside(kind)},
                    {"seconds", stages[i].seconds},
                    {"spans", stages[i].spans}});
  }
  return list;
}

Json links_json(const std::vector<pipeline::WorkerReport>& workers) {
  Json list = Json::array();
  for (const auto& worker : workers)
    list.push_back({{"name", worker.name},
                    {"address", worker.address},
                    {"state", worker.state},
                    {"trouble", worker.last_error},
                    {"round_trip_ms", worker.round_trip_ms},
                    {"in_flight", worker.in_flight},
                    {"products", worker.requests},
                    {"bytes_up", worker.bytes_in},
                    {"bytes_down", worker.bytes_out},
                    {"strikes", worker.strikes},
                    {"reconnects", worker.reconnects},
                    {"weight_bytes", worker.weight_bytes}});
  return list;
}

Json kv_json(const pipeline::KvReport& kv) {
  return {{"budget", kv.usage.budget},      {"used", kv.usage.used},
          {"reserved", kv.usage.reserved},  {"waiting", kv.queued},
          {"preemptions", kv.preemptions},  {"prefix_queries", kv.prefixes.queries},
          {"prefix_hits", kv.prefixes.hits}};
}

Json masks_json(const remo::MaskPool::Stats& masks) {
  return {{"bytes", masks.bytes},
          {"rows_ahead", masks.rows_made_ahead},
          {"rows_inline", masks.rows_made_inline},
          {"stalls", masks.stalls}};
}

} // namespace

/// Somebody who watches; counted for as long as this lives.
class LiveFeed::Viewer {
public:
  explicit Viewer(LiveFeed& feed) : feed_(feed) {
    if (feed_.viewers_.fetch_add(1) < kMostViewers) return;
    --feed_.viewers_;
    throw ApiError(503, fmt::format("{} watch already; close one of them", kMostViewers), {},
                   "too_many_viewers");
  }
  ~Viewer() { --feed_.viewers_; }
  Viewer(const Viewer&) = delete;
  Viewer& operator=(const Viewer&) = delete;

  bool go_on(BodySink& sink) {
    if (!std::exchange(first_, false) && feed_.closed_within_a_second()) {
      sink.done();
      return true;
    }
    const std::string event = "data: " + feed_.snapshot() + "\n\n";
    return sink.write(event.data(), event.size());
  }

private:
  LiveFeed& feed_;
  bool first_ = true;
};

std::string LiveFeed::snapshot() const {
  const Admission::Load load = parts_.admission.load();
  const Metrics::Totals totals = parts_.metrics.totals();
  const std::chrono::duration<double> up = FeedClock::now() - began_;
  Json out{
      {"version", kVersion},
      {"model", options_.model},
      {"program", options_.version},
      {"padded", options_.coarse},
      {"uptime_s", up.count()},
      {"load",
       {{"running", load.running},
        {"waiting", load.waiting},
        {"places", parts_.admission.limits().running}}},
      {"totals",
       {{"prompt_tokens", totals.prompt_tokens}, {"generation_tokens", totals.generation_tokens}}},
      {"masks", masks_json(parts_.engine.mask_stats())},
      {"links", links_json(parts_.engine.workers())}};
  if (!options_.coarse) {
    out["requests"] = requests_json(parts_.requests);
    out["stages"] = stages_json(parts_.engine.stage_times());
    out["kv"] = kv_json(parts_.engine.kv_report());
  }
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

HttpResponse::Stream LiveFeed::watch() {
  return [viewer = std::make_shared<Viewer>(*this)](BodySink& sink) { return viewer->go_on(sink); };
}

void LiveFeed::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

bool LiveFeed::closed_within_a_second() {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kBetweenEvents, [this] { return closed_; });
}

} // namespace talaria::gateway
