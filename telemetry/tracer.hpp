#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "core/integers.hpp"
#include "telemetry/recording.hpp"
#include "telemetry/span_kind.hpp"
#include "telemetry/stage_times.hpp"

namespace talaria::telemetry {

/// Collects spans of one process and writes them as Chrome trace JSON. Thread-safe; recording takes
/// well below a microsecond: each thread writes to a buffer of its own.
class Tracer {
public:
  using Clock = std::chrono::steady_clock;
  using Track = u32;

  /// Opens `path` at once, so that an unwritable file is noticed before any work is done. Spans
  /// beyond `max_spans` (about 100 bytes of memory each) are counted and dropped.
  /// An empty path: there is no file, and spans are only added up.
  /// @throws Error{io} naming the file.
  explicit Tracer(const std::filesystem::path& path, std::size_t max_spans = 4'000'000);
  /// Writes what is left; errors at this point go to standard error.
  ~Tracer();
  Tracer(const Tracer&) = delete;

  /// The row of the picture for `thread` on `process`; the same for the same names. For setup:
  /// takes longer than recording.
  Track track(std::string_view process, std::string_view thread);

  /// False while it is paused: whoever would record need not look at a clock.
  bool on() const noexcept { return on_.load(std::memory_order_relaxed); }
  /// Whether the spans go into a file, with the names of requests, and are not only added up.
  bool is_written() const noexcept { return !path_.empty(); }
  /// So that `talaria bench` can measure with and without in one run.
  void pause(bool paused) noexcept { on_.store(!paused, std::memory_order_relaxed); }

  /// `waited_since`: when the message that led to the span was sent; the default: nothing waited.
  void record(Track track, SpanKind kind, Clock::time_point begin, Clock::time_point end,
              const SpanLabels& labels, Clock::time_point waited_since = {});
  /// A micro-batch carries these requests. Worth telling if there are several.
  void carries(u64 micro_batch, std::vector<u64> traces);
  /// The bytes of masks in stock now, at the process that `track` belongs to.
  void mask_stock(Track track, u64 bytes);

  /// Everything recorded so far, added up by stage; also what was dropped.
  StageTimes stage_times() const;

  /// Our steady clock when the wall clock stood at `wall` (ns since 1970), and back.
  Clock::time_point at_wall(i64 wall) const;
  i64 wall_of(Clock::time_point time) const;

  /// Writes the file, once: what is recorded later is lost.
  /// @throws Error{io} if it cannot be written completely.
  void write();

private:
  /// What one thread recorded, in pieces so that nothing is moved when there is more.
  struct Buffer {
    std::mutex mutex; ///< against write() and stage_times() alone
    StageTimes times;
    std::vector<std::vector<Recording::Event>> pieces;
    std::size_t room = 0; ///< events that may still come
    u64 dropped = 0;
  };
  Buffer& own_buffer();
  std::size_t grant() noexcept;
  i64 since_origin(Clock::time_point time) const;
  void gather();

  const std::filesystem::path path_;
  std::ofstream file_;
  const u64 serial_; ///< tells tracers of one process apart, also after their end
  const Clock::time_point origin_ = Clock::now();
  std::atomic<bool> on_{true};
  std::atomic<std::size_t> left_; ///< events not granted to any buffer

  mutable std::mutex mutex_; ///< guards what follows
  Recording recording_;
  std::unordered_map<std::thread::id, std::unique_ptr<Buffer>> buffers_;
  const std::size_t max_spans_;
  bool written_ = false;
};

/// True if spans are wanted: all that a span costs where nobody traces.
inline bool tracing(const Tracer* tracer) noexcept {
  return tracer != nullptr && tracer->on();
}

/// Times the enclosing scope; without a tracer it costs a load and a branch.
class Span {
public:
  Span() = default;
  Span(Tracer* tracer, Tracer::Track track, SpanKind kind, const SpanLabels& labels,
       Tracer::Clock::time_point waited_since = {}) {
    if (tracing(tracer)) open_.emplace(tracer, track, kind, labels, waited_since);
  }
  Span(const Span&) = delete;
  Span& operator=(const Span&) = delete;
  ~Span() {
    if (open_) open_->close();
  }

private:
  struct Open {
    Open(Tracer* tracer_on, Tracer::Track on, SpanKind what, const SpanLabels& says,
         Tracer::Clock::time_point since)
        : tracer(tracer_on), track(on), kind(what), labels(says), waited_since(since),
          begin(Tracer::Clock::now()) {}
    void close() const {
      tracer->record(track, kind, begin, Tracer::Clock::now(), labels, waited_since);
    }
    Tracer* tracer;
    Tracer::Track track;
    SpanKind kind;
    SpanLabels labels;
    Tracer::Clock::time_point waited_since;
    Tracer::Clock::time_point begin;
  };
  std::optional<Open> open_; ///< nothing of it is written unless somebody traces
};

} // namespace talaria::telemetry
