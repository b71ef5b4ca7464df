#include "telemetry/tracer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "core/wall_clock.hpp"

namespace talaria::telemetry {

namespace {

std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string hex(u64 id) {
  return fmt::format("\"{:016x}\"", id);
}

} // namespace

Tracer::Tracer(const std::filesystem::path& path, std::size_t most_spans)
    : path_(path), file_(path, std::ios::trunc), most_spans_(most_spans), wall_origin_(wall_ns()) {
  if (!file_)
    throw Error(Errc::io, fmt::format("{}: cannot write the trace file; choose a writable path "
                                      "for --trace",
                                      path.string()));
}

Tracer::~Tracer() {
  try {
    write();
  } catch (const std::exception& error) {
    fmt::print(stderr, "talaria: {}\n", error.what());
  }
}

Tracer::Track Tracer::track(std::string_view process, std::string_view thread) {
  const std::lock_guard lock(mutex_);
  const auto known = std::find(processes_.begin(), processes_.end(), process);
  const auto number = static_cast<std::size_t>(known - processes_.begin());
  if (known == processes_.end()) processes_.emplace_back(process);
  for (std::size_t t = 0; t < tracks_.size(); ++t)
    if (tracks_[t].process == number && tracks_[t].thread == thread) return static_cast<Track>(t);
  tracks_.push_back({number, std::string(thread)});
  return static_cast<Track>(tracks_.size() - 1);
}

void Tracer::record(Track track, SpanKind kind, Clock::time_point begin, Clock::time_point end,
                    const SpanLabels& labels) {
  const std::lock_guard lock(mutex_);
  if (written_) return;
  if (events_.size() >= most_spans_)
    ++dropped_;
  else
    events_.push_back({begin, end, track, kind, labels});
}

void Tracer::carries(u64 micro_batch, std::vector<u64> traces) {
  const std::lock_guard lock(mutex_);
  if (carried_.size() < most_spans_) carried_.insert_or_assign(micro_batch, std::move(traces));
}

void Tracer::mask_stock(Track track, u64 bytes) {
  const auto now = Clock::now();
  const std::lock_guard lock(mutex_);
  if (stock_.size() < most_spans_) stock_.push_back({now, track, bytes});
}

Tracer::Clock::time_point Tracer::at_wall(i64 wall) const {
  return origin_ + std::chrono::nanoseconds(wall - wall_origin_);
}

i64 Tracer::wall_of(Clock::time_point time) const {
  return wall_origin_ +
         std::chrono::duration_cast<std::chrono::nanoseconds>(time - origin_).count();
}

double Tracer::micros(Clock::time_point time) const {
  return std::chrono::duration<double, std::micro>(time - origin_).count();
}

/// A row of the picture shows one span at a time. Where products of several micro-batches overlap
/// on a track, the later one goes to the next lane: for each event in order of time its lane,
/// grouped by track.
std::vector<std::vector<u32>> Tracer::lanes_of_events() {
  std::stable_sort(events_.begin(), events_.end(),
                   [](const Event& a, const Event& b) { return a.begin < b.begin; });
  std::vector<std::vector<u32>> lanes(tracks_.size());
  std::vector<std::vector<Clock::time_point>> busy_until(tracks_.size());
  for (const Event& event : events_) {
    auto& until = busy_until[event.track];
    const auto free = std::find_if(until.begin(), until.end(),
                                   [&](Clock::time_point end) { return end <= event.begin; });
    lanes[event.track].push_back(static_cast<u32>(free - until.begin()));
    if (free == until.end())
      until.push_back(event.end);
    else
      *free = event.end;
  }
  return lanes;
}

namespace {

/// Chrome's thread number of a lane; enough room for any number of them.
u64 thread_number(u64 track, u64 lane) {
  constexpr u64 kLanes = 10'000;
  return track * kLanes + std::min(lane, kLanes - 1) + 1;
}

} // namespace

void Tracer::write_tracks(const std::vector<std::vector<u32>>& lanes) {
  const auto named = [this](std::string_view what, std::size_t pid, u64 tid,
                            const std::string& name) {
    file_ << fmt::format(R"({{"ph":"M","name":"{}","pid":{},"tid":{},"args":{{"name":{}}}}},)",
                         what, pid, tid, quoted(name))
          << '\n';
  };
  for (std::size_t p = 0; p < processes_.size(); ++p)
    named("process_name", p + 1, 0, processes_[p]);
  for (std::size_t t = 0; t < tracks_.size(); ++t) {
    if (lanes[t].empty()) continue;
    const u32 most = *std::max_element(lanes[t].begin(), lanes[t].end());
    for (u32 lane = 0; lane <= most; ++lane)
      named("thread_name", tracks_[t].process + 1, thread_number(t, lane),
            lane == 0 ? tracks_[t].thread : fmt::format("{} ({})", tracks_[t].thread, lane + 1));
  }
}

std::string Tracer::arguments(const Event& event) const {
  const SpanLabels& labels = event.labels;
  std::string text = fmt::format("\"rows\":{}", labels.rows);
  const auto add = [&text](const char* key, auto value) {
    if (value != 0) text += fmt::format(",\"{}\":{}", key, value);
  };
  add("micro_batch", labels.micro_batch);
  if (labels.trace != 0) text += ",\"trace\":" + hex(labels.trace);
  add("sequences", labels.sequences);
  add("tokens", labels.tokens);
  add("joined_rows", labels.joined_rows);
  if (labels.matrix != kNoMatrix) text += fmt::format(",\"matrix\":{}", labels.matrix);
  add("bytes_up", labels.bytes_up);
  add("bytes_down", labels.bytes_down);
  const auto carried = carried_.find(labels.micro_batch);
  if (event.kind != SpanKind::embed || carried == carried_.end()) return text;
  text += ",\"traces\":[";
  for (std::size_t i = 0; i < carried->second.size(); ++i)
    text += (i == 0 ? "" : ",") + hex(carried->second[i]);
  return text + ']';
}

void Tracer::write_events(const std::vector<std::vector<u32>>& lanes) {
  std::vector<std::size_t> seen(tracks_.size());
  for (const Event& event : events_) {
    const u32 lane = lanes[event.track][seen[event.track]++];
    const double begin = micros(event.begin);
    file_ << fmt::format(R"({{"ph":"X","pid":{},"tid":{},"name":"{}","ts":{:.3f},"dur":{:.3f},)"
                         R"("args":{{{}}}}},)",
                         tracks_[event.track].process + 1, thread_number(event.track, lane),
                         to_string(event.kind), begin, std::max(0.0, micros(event.end) - begin),
                         arguments(event))
          << '\n';
  }
  for (const StockLevel& level : stock_)
    file_ << fmt::format(
                 R"({{"ph":"C","pid":{},"name":"mask stock","ts":{:.3f},"args":{{"bytes":{}}}}},)",
                 tracks_[level.track].process + 1, micros(level.time), level.bytes)
          << '\n';
}

void Tracer::write() {
  const std::lock_guard lock(mutex_);
  if (written_) return;
  written_ = true;
  const auto lanes = lanes_of_events();
  file_ << fmt::format(R"({{"displayTimeUnit":"ms","otherData":{{"wall_origin_ns":{},)"
                       R"("dropped_spans":{}}},"traceEvents":[)",
                       wall_origin_, dropped_)
        << '\n';
  write_tracks(lanes);
  write_events(lanes);
  file_ << R"({"ph":"M","name":"trace_end","pid":1,"args":{}}]})"
        << '\n'; // no comma behind the last
  file_.flush();
  if (!file_) throw Error(Errc::io, path_.string() + ": the trace could not be written completely");
}

} // namespace talaria::telemetry
