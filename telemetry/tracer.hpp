#pragma once

#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/integers.hpp"

namespace talaria::telemetry {

/// Collects spans of one process and writes them as Chrome trace JSON (opens in Perfetto: one
/// process, one row per stage). A span carries names, counts and times only: never a token, text or
/// tensor value.
class Tracer {
public:
  using Clock = std::chrono::steady_clock;

  /// Opens `path` at once, so that an unwritable file is noticed before any work is done.
  /// @throws Error{io} naming the file.
  explicit Tracer(const std::filesystem::path& path);
  /// Writes what is left; errors at this point go to standard error.
  ~Tracer();

  void record(std::string_view stage, std::string_view what, Clock::time_point begin,
              Clock::time_point end, u64 micro_batch, u64 rows);

  /// Writes the file. @throws Error{io} if it cannot be written completely.
  void write();

private:
  struct Event {
    u32 stage;
    u32 what;
    Clock::time_point begin;
    Clock::time_point end;
    u64 micro_batch;
    u64 rows;
  };
  u32 intern(std::string_view text);

  std::filesystem::path path_;
  std::ofstream file_;
  Clock::time_point origin_ = Clock::now();
  std::mutex mutex_;
  std::map<std::string, u32, std::less<>> ids_;
  std::vector<std::string> names_;
  std::vector<Event> events_;
  bool written_ = false;
};

/// Times the enclosing scope; does nothing without a tracer.
class Span {
public:
  Span(Tracer* tracer, std::string_view stage, std::string_view what, u64 micro_batch, u64 rows)
      : tracer_(tracer), stage_(stage), what_(what), micro_batch_(micro_batch), rows_(rows) {
    if (tracer_ != nullptr) begin_ = Tracer::Clock::now();
  }
  Span(const Span&) = delete;
  Span& operator=(const Span&) = delete;
  ~Span() {
    if (tracer_ != nullptr)
      tracer_->record(stage_, what_, begin_, Tracer::Clock::now(), micro_batch_, rows_);
  }

private:
  Tracer* tracer_;
  std::string_view stage_;
  std::string_view what_;
  u64 micro_batch_;
  u64 rows_;
  Tracer::Clock::time_point begin_{};
};

} // namespace talaria::telemetry
