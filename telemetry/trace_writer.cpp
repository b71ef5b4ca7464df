#include "telemetry/trace_writer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

namespace talaria::telemetry {

u32 Recording::track(std::string_view process, std::string_view thread) {
  const auto known = std::find(processes.begin(), processes.end(), process);
  const auto number = static_cast<u32>(known - processes.begin());
  if (known == processes.end()) processes.emplace_back(process);
  for (std::size_t t = 0; t < tracks.size(); ++t)
    if (tracks[t].process == number && tracks[t].thread == thread) return static_cast<u32>(t);
  tracks.push_back({number, std::string(thread)});
  return static_cast<u32>(tracks.size() - 1);
}

namespace {

std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string hex(u64 id) {
  return fmt::format("\"{:016x}\"", id);
}

double micros(i64 ns) {
  return static_cast<double>(ns) * 1e-3;
}

/// Chrome's thread number of a lane; enough room for any number of them.
u64 thread_number(u64 track, u64 lane) {
  constexpr u64 kLanes = 10'000;
  return track * kLanes + std::min(lane, kLanes - 1) + 1;
}

class Writer {
public:
  Writer(std::ostream& out, Recording recording) : out_(out), all_(std::move(recording)) {}

  void write() {
    split_off_waits();
    std::stable_sort(all_.events.begin(), all_.events.end(),
                     [](const auto& a, const auto& b) { return a.begin < b.begin; });
    find_lanes();
    out_ << fmt::format(R"({{"displayTimeUnit":"ms","otherData":{{"wall_origin_ns":{},)"
                        R"("dropped_spans":{}}},"traceEvents":[)",
                        all_.wall_origin, all_.dropped)
         << '\n';
    write_tracks();
    write_events();
    out_ << R"({"ph":"M","name":"trace_end","pid":1,"args":{}}]})" << '\n'; // no comma at the end
  }

private:
  void split_off_waits() {
    const std::size_t count = all_.events.size();
    for (std::size_t i = 0; i < count; ++i) {
      Recording::Event wait = all_.events[i];
      if (wait.waited_since == kDidNotWait || wait.waited_since >= wait.begin) continue;
      wait.end = wait.begin;
      wait.begin = wait.waited_since;
      wait.kind = SpanKind::mailbox;
      wait.labels.bytes_up = wait.labels.bytes_down = 0; // counted once
      all_.events.push_back(wait);
    }
    for (std::size_t p = 0; p < all_.processes.size(); ++p) // copied: the list may grow
      mailboxes_.push_back(all_.track(std::string(all_.processes[p]), "mailboxes"));
  }

  /// Waits stand on a thread of their own, so that stages show their work alone.
  u32 shown_on(const Recording::Event& event) const {
    return event.kind == SpanKind::mailbox ? mailboxes_[all_.tracks[event.track].process]
                                           : event.track;
  }

  /// For each event in order of time its lane, grouped by track; and which tracks come first.
  void find_lanes() {
    lanes_.resize(all_.tracks.size());
    order_.resize(all_.tracks.size());
    std::vector<std::vector<i64>> busy_until(all_.tracks.size());
    u32 seen = 0;
    for (const auto& event : all_.events) {
      const u32 track = shown_on(event);
      auto& until = busy_until[track];
      if (until.empty()) order_[track] = ++seen;
      const auto free =
          std::find_if(until.begin(), until.end(), [&](i64 end) { return end <= event.begin; });
      lanes_[track].push_back(static_cast<u32>(free - until.begin()));
      if (free == until.end())
        until.push_back(event.end);
      else
        *free = event.end;
    }
  }

  void write_name(std::string_view what, std::size_t pid, u64 tid, const std::string& name) {
    out_ << fmt::format(R"({{"ph":"M","name":"{}","pid":{},"tid":{},"args":{{"name":{}}}}},)", what,
                        pid, tid, quoted(name))
         << '\n';
  }
  /// Threads stand in the order in which work first came to them.
  void write_order(std::string_view what, std::size_t pid, u64 tid, u64 index) {
    out_ << fmt::format(R"({{"ph":"M","name":"{}","pid":{},"tid":{},"args":{{"sort_index":{}}}}},)",
                        what, pid, tid, index)
         << '\n';
  }

  void write_tracks() {
    for (std::size_t p = 0; p < all_.processes.size(); ++p) {
      write_name("process_name", p + 1, 0, all_.processes[p]);
      write_order("process_sort_index", p + 1, 0, p);
    }
    for (std::size_t t = 0; t < all_.tracks.size(); ++t) {
      if (lanes_[t].empty()) continue;
      const u32 most = *std::max_element(lanes_[t].begin(), lanes_[t].end());
      const auto& [process, thread] = all_.tracks[t];
      for (u32 lane = 0; lane <= most; ++lane) {
        write_name("thread_name", process + 1, thread_number(t, lane),
                   lane == 0 ? thread : fmt::format("{} ({})", thread, lane + 1));
        write_order("thread_sort_index", process + 1, thread_number(t, lane), order_[t]);
      }
    }
  }

  std::string arguments(const Recording::Event& event) const {
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
    if (event.kind == SpanKind::mailbox)
      text += ",\"stage\":" + quoted(all_.tracks[event.track].thread);
    const auto carried = all_.carried.find(labels.micro_batch);
    if (event.kind != SpanKind::embed || carried == all_.carried.end()) return text;
    text += ",\"traces\":[";
    for (std::size_t i = 0; i < carried->second.size(); ++i)
      text += (i == 0 ? "" : ",") + hex(carried->second[i]);
    return text + ']';
  }

  void write_events() {
    std::vector<std::size_t> seen(all_.tracks.size());
    for (const auto& event : all_.events) {
      const u32 track = shown_on(event);
      const u32 lane = lanes_[track][seen[track]++];
      out_ << fmt::format(R"({{"ph":"X","pid":{},"tid":{},"name":"{}","ts":{:.3f},"dur":{:.3f},)"
                          R"("args":{{{}}}}},)",
                          all_.tracks[track].process + 1, thread_number(track, lane),
                          to_string(event.kind), micros(event.begin),
                          micros(std::max<i64>(0, event.end - event.begin)), arguments(event))
           << '\n';
    }
    for (const auto& level : all_.stock)
      out_ << fmt::format(R"({{"ph":"C","pid":{},"name":"mask stock","ts":{:.3f},)"
                          R"("args":{{"bytes":{}}}}},)",
                          all_.tracks[level.track].process + 1, micros(level.time), level.bytes)
           << '\n';
  }

  std::ostream& out_;
  Recording all_;
  std::vector<u32> mailboxes_;          ///< by process: the track of its waits
  std::vector<std::vector<u32>> lanes_; ///< by track
  std::vector<u32> order_;              ///< by track: 1 for the first that had an event
};

} // namespace

void write_trace(std::ostream& out, Recording recording) {
  Writer(out, std::move(recording)).write();
}

} // namespace talaria::telemetry
