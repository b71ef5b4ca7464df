#pragma once

#include <chrono>
#include <deque>
#include <filesystem>
#include <fstream>
#include <limits>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/integers.hpp"
#include "telemetry/span_kind.hpp"

namespace talaria::telemetry {

inline constexpr u32 kNoMatrix = std::numeric_limits<u32>::max();

/// What a span says beside its times: names, counts and numbers of things, never a token, text or
/// tensor value. Whatever is left at its default is left out of the file.
struct SpanLabels {
  u64 trace = 0;       ///< of the request; of the first one if the micro-batch carries several
  u64 micro_batch = 0; ///< 0: none
  u32 rows = 0;        ///< of a request: tokens of its prompt
  u32 sequences = 0;   ///< in the micro-batch; as many as rows: every row decodes
  u32 tokens = 0;      ///< of a request's answer
  u32 joined_rows = 0; ///< in the product these rows were part of
  u32 matrix = kNoMatrix;
  u64 bytes_up = 0; ///< of the masked tensor
  u64 bytes_down = 0;
};

/// Collects spans of one process and writes them as Chrome trace JSON (opens in Perfetto: process =
/// node, thread = stage). Thread-safe; recording takes well below a microsecond.
class Tracer {
public:
  using Clock = std::chrono::steady_clock;
  using Track = u32;

  /// Opens `path` at once, so that an unwritable file is noticed before any work is done. Spans
  /// beyond `most_spans` (about 100 bytes of memory each) are counted and dropped.
  /// @throws Error{io} naming the file.
  explicit Tracer(const std::filesystem::path& path, std::size_t most_spans = 4'000'000);
  /// Writes what is left; errors at this point go to standard error.
  ~Tracer();
  Tracer(const Tracer&) = delete;

  /// The row of the picture for `thread` on `process`; the same for the same names. For setup:
  /// takes longer than recording.
  Track track(std::string_view process, std::string_view thread);

  void record(Track track, SpanKind kind, Clock::time_point begin, Clock::time_point end,
              const SpanLabels& labels);
  /// A micro-batch carries these requests. Worth telling if there are several.
  void carries(u64 micro_batch, std::vector<u64> traces);
  /// The bytes of masks in stock now, at the process that `track` belongs to.
  void mask_stock(Track track, u64 bytes);

  /// Our steady clock when the wall clock stood at `wall` (ns since 1970), and back.
  Clock::time_point at_wall(i64 wall) const;
  i64 wall_of(Clock::time_point time) const;

  /// Writes the file, once: what is recorded later is lost.
  /// @throws Error{io} if it cannot be written completely.
  void write();

private:
  struct TrackNames {
    std::size_t process; ///< in processes_
    std::string thread;
  };
  struct Event {
    Clock::time_point begin;
    Clock::time_point end;
    Track track;
    SpanKind kind;
    SpanLabels labels;
  };
  struct StockLevel {
    Clock::time_point time;
    Track track;
    u64 bytes;
  };
  double micros(Clock::time_point time) const;
  std::string arguments(const Event& event) const;
  void write_tracks(const std::vector<std::vector<u32>>& lanes);
  void write_events(const std::vector<std::vector<u32>>& lanes);
  std::vector<std::vector<u32>> lanes_of_events();

  const std::filesystem::path path_;
  std::ofstream file_;
  const std::size_t most_spans_;
  const Clock::time_point origin_ = Clock::now();
  const i64 wall_origin_;

  std::mutex mutex_; ///< guards what follows
  std::vector<std::string> processes_;
  std::vector<TrackNames> tracks_;
  std::deque<Event> events_; ///< grows without moving what is there
  std::vector<StockLevel> stock_;
  std::unordered_map<u64, std::vector<u64>> carried_;
  u64 dropped_ = 0;
  bool written_ = false;
};

/// Times the enclosing scope; does nothing without a tracer.
class Span {
public:
  Span(Tracer* tracer, Tracer::Track track, SpanKind kind, const SpanLabels& labels)
      : tracer_(tracer) {
    if (tracer_ == nullptr) return;
    track_ = track;
    kind_ = kind;
    labels_ = labels;
    begin_ = Tracer::Clock::now();
  }
  Span(const Span&) = delete;
  Span& operator=(const Span&) = delete;
  ~Span() {
    if (tracer_ != nullptr) tracer_->record(track_, kind_, begin_, Tracer::Clock::now(), labels_);
  }

private:
  Tracer* tracer_;
  Tracer::Track track_ = 0;
  SpanKind kind_ = SpanKind::embed;
  SpanLabels labels_;
  Tracer::Clock::time_point begin_{};
};

} // namespace talaria::telemetry
