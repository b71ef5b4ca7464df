#include "telemetry/trace_file.hpp"

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.hpp"

namespace talaria::telemetry {

namespace {

using nlohmann::json;
using ThreadId = std::pair<u64, u64>; // process, thread

/// "o.mask (2)", the second lane of a track, is the track "o.mask".
std::string without_lane(const std::string& name) {
  const auto at = name.rfind(" (");
  return at != std::string::npos && name.ends_with(')') ? name.substr(0, at) : name;
}

i64 nanoseconds(const json& micros) {
  const double value = micros.get<double>();
  constexpr double kMax = 1e15; // 30 years; beyond that a double has no microseconds
  if (!(std::abs(value) < kMax)) throw std::out_of_range("a time");
  return std::llround(value * 1e3);
}

u64 parse_id(const std::string& hex) {
  return std::stoull(hex, nullptr, 16);
}

SpanLabels labels_of(const json& arguments) {
  SpanLabels labels;
  labels.trace = parse_id(arguments.value("trace", "0"));
  labels.micro_batch = arguments.value("micro_batch", u64{0});
  labels.rows = arguments.value("rows", u32{0});
  labels.sequences = arguments.value("sequences", u32{0});
  labels.tokens = arguments.value("tokens", u32{0});
  labels.joined_rows = arguments.value("joined_rows", u32{0});
  labels.matrix = arguments.value("matrix", kNoMatrix);
  labels.bytes_up = arguments.value("bytes_up", u64{0});
  labels.bytes_down = arguments.value("bytes_down", u64{0});
  return labels;
}

/// Takes events one by one, so that a trace of many is never in memory as JSON.
class Reader {
public:
  void take(const json& event) {
    const std::string phase = event.value("ph", "");
    const std::string name = event.value("name", "");
    if (phase == "M")
      take_name(event, name);
    else if (phase == "X")
      take_span(event, name);
    else if (phase == "C" && name == "mask stock")
      take_stock(event);
  }

  Trace finish() && {
    for (std::size_t i = 0; i < trace_.spans.size(); ++i) {
      trace_.spans[i].process = processes_[threads_of_[i].first];
      if (trace_.spans[i].thread.empty()) trace_.spans[i].thread = threads_[threads_of_[i]];
    }
    for (std::size_t i = 0; i < trace_.stock.size(); ++i)
      trace_.stock[i].process = processes_[stock_of_[i]];
    return std::move(trace_);
  }

private:
  static ThreadId thread_of(const json& event) {
    return {event.value("pid", u64{0}), event.value("tid", u64{0})};
  }

  void take_name(const json& event, const std::string& what) {
    if (what == "process_name") processes_[thread_of(event).first] = event.at("args").at("name");
    if (what == "thread_name")
      threads_[thread_of(event)] = without_lane(event.at("args").at("name"));
  }

  void take_span(const json& event, const std::string& name) {
    const auto kind = parse_span_kind(name);
    if (!kind) return;
    TraceSpan span;
    span.kind = *kind;
    span.when.begin = nanoseconds(event.at("ts"));
    span.when.end = span.when.begin + nanoseconds(event.at("dur"));
    if (span.when.end < span.when.begin) throw std::out_of_range("a duration below zero");
    const json arguments = event.value("args", json::object());
    span.labels = labels_of(arguments);
    if (span.kind == SpanKind::mailbox) span.thread = arguments.value("stage", "");
    if (arguments.contains("traces"))
      for (const json& id : arguments.at("traces"))
        trace_.carried[span.labels.micro_batch].push_back(parse_id(id.get<std::string>()));
    trace_.spans.push_back(std::move(span));
    threads_of_.push_back(thread_of(event));
  }

  void take_stock(const json& event) {
    trace_.stock.push_back({nanoseconds(event.at("ts")), event.at("args").at("bytes"), {}});
    stock_of_.push_back(thread_of(event).first);
  }

  Trace trace_;
  std::vector<ThreadId> threads_of_; ///< by span; names may come behind
  std::vector<u64> stock_of_;        ///< by level: its process
  std::map<u64, std::string> processes_;
  std::map<ThreadId, std::string> threads_;
};

} // namespace

Trace read_trace(std::istream& in, const std::string& name) {
  Reader reader;
  bool in_events = false;
  u64 dropped = 0;
  i64 origin = 0;
  const auto each = [&](int depth, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::key && depth == 1) in_events = parsed == "traceEvents";
    if (event != json::parse_event_t::object_end || depth != 2 || !in_events) return true;
    reader.take(parsed);
    return false;
  };
  try {
    const json rest = json::parse(in, each);
    const json other = rest.value("otherData", json::object());
    dropped = other.value("dropped_spans", u64{0});
    origin = other.value("wall_origin_ns", i64{0});
  } catch (const std::exception&) { // what it says may quote the file
    throw Error(Errc::usage,
                name + ": not a trace of talaria; give the file that --trace has written");
  }
  Trace trace = std::move(reader).finish();
  trace.dropped_spans = dropped;
  trace.wall_origin = origin;
  if (trace.spans.empty())
    throw Error(Errc::usage, name + ": no span of talaria is in it; was anything run?");
  return trace;
}

} // namespace talaria::telemetry
