#include "telemetry/tracer.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/console.hpp"
#include "core/error.hpp"
#include "core/private_output.hpp"
#include "core/wall_clock.hpp"
#include "telemetry/trace_writer.hpp"

namespace talaria::telemetry {

namespace {

constexpr std::size_t kPiece = 512; ///< events

u64 next_serial() {
  static std::atomic<u64> last{0};
  return ++last;
}

} // namespace

Tracer::Tracer(const std::filesystem::path& path, std::size_t max_spans)
    : path_(path), file_(path.empty() ? std::ofstream() : open_private(path)),
      serial_(next_serial()), left_(path.empty() ? 0 : max_spans),
      max_spans_(path.empty() ? 0 : max_spans) {
  recording_.wall_origin = wall_ns();
  if (!file_)
    throw Error(Errc::io, fmt::format("{}: cannot write the trace file; choose a writable path "
                                      "for --trace",
                                      path.string()));
}

Tracer::~Tracer() {
  try {
    write();
  } catch (const std::exception& error) {
    print_log("talaria: {}", error.what());
  }
}

Tracer::Track Tracer::track(std::string_view process, std::string_view thread) {
  const std::lock_guard lock(mutex_);
  return recording_.track(process, thread);
}

Tracer::Buffer& Tracer::own_buffer() {
  thread_local u64 tracer = 0; // that the other one belongs to
  thread_local Buffer* buffer = nullptr;
  if (tracer == serial_) return *buffer;
  const std::lock_guard lock(mutex_);
  auto& own = buffers_[std::this_thread::get_id()];
  if (!own) own = std::make_unique<Buffer>();
  tracer = serial_;
  buffer = own.get();
  return *buffer;
}

/// Takes a piece of what may still be recorded.
std::size_t Tracer::grant() noexcept {
  std::size_t left = left_.load(std::memory_order_relaxed);
  std::size_t piece = 0;
  do piece = std::min(left, kPiece);
  while (!left_.compare_exchange_weak(left, left - piece, std::memory_order_relaxed));
  return piece;
}

void Tracer::record(Track track, SpanKind kind, Clock::time_point begin, Clock::time_point end,
                    const SpanLabels& labels, Clock::time_point waited_since) {
  const i64 since = waited_since == Clock::time_point() ? kDidNotWait : since_origin(waited_since);
  Buffer& buffer = own_buffer();
  const std::lock_guard lock(buffer.mutex);
  auto& time = buffer.times[static_cast<std::size_t>(kind)];
  time.seconds += std::chrono::duration<double>(end - begin).count();
  ++time.spans;
  if (max_spans_ == 0) return;
  if (buffer.room == 0) {
    buffer.room = grant();
    if (buffer.room == 0) {
      ++buffer.dropped;
      return;
    }
    buffer.pieces.emplace_back().reserve(buffer.room);
  }
  --buffer.room;
  buffer.pieces.back().push_back(
      {since_origin(begin), since_origin(end), since, track, kind, labels});
}

StageTimes Tracer::stage_times() const {
  StageTimes sum{};
  const std::lock_guard lock(mutex_);
  for (const auto& [thread, buffer] : buffers_) {
    const std::lock_guard inner(buffer->mutex);
    for (std::size_t i = 0; i < sum.size(); ++i) {
      sum[i].seconds += buffer->times[i].seconds;
      sum[i].spans += buffer->times[i].spans;
    }
  }
  return sum;
}

void Tracer::carries(u64 micro_batch, std::vector<u64> traces) {
  const std::lock_guard lock(mutex_);
  if (!written_ && recording_.carried.size() < max_spans_)
    recording_.carried.insert_or_assign(micro_batch, std::move(traces));
}

void Tracer::mask_stock(Track track, u64 bytes) {
  const i64 now = since_origin(Clock::now());
  const std::lock_guard lock(mutex_);
  if (!written_ && recording_.stock.size() < max_spans_)
    recording_.stock.push_back({now, track, bytes});
}

i64 Tracer::since_origin(Clock::time_point time) const {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time - origin_).count();
}

Tracer::Clock::time_point Tracer::at_wall(i64 wall) const {
  return origin_ + std::chrono::nanoseconds(wall - recording_.wall_origin);
}

i64 Tracer::wall_of(Clock::time_point time) const {
  return recording_.wall_origin + since_origin(time);
}

/// All buffers into the recording; what comes later is lost.
void Tracer::gather() {
  left_ = 0;
  for (const auto& [thread, buffer] : buffers_) {
    const std::lock_guard lock(buffer->mutex);
    buffer->room = 0;
    recording_.dropped += buffer->dropped;
    for (auto& piece : buffer->pieces) {
      recording_.events.insert(recording_.events.end(), piece.begin(), piece.end());
      piece = {};
    }
  }
}

void Tracer::write() {
  const std::lock_guard lock(mutex_);
  if (written_ || path_.empty()) return;
  written_ = true;
  gather();
  write_trace(file_, std::move(recording_));
  file_.flush();
  if (!file_) throw Error(Errc::io, path_.string() + ": the trace could not be written completely");
}

} // namespace talaria::telemetry
