#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>

#include "gateway/admission.hpp"
#include "gateway/http_message.hpp"
#include "gateway/live_requests.hpp"
#include "gateway/metrics.hpp"
#include "pipeline/engine.hpp"

namespace talaria::gateway {

/// What /dashboard and `talaria top` show, as JSON once a second (docs/operations.md, "Live page").
/// Thread-safe.
class LiveFeed {
public:
  /// Of the format: a reader refuses a greater one.
  static constexpr int kVersion = 1;
  /// That may watch at once.
  static constexpr std::size_t kMostViewers = 8;

  struct Parts {
    const pipeline::Engine& engine;
    const Admission& admission;
    const Metrics& metrics;
    const LiveRequests& requests;
  };
  struct Options {
    std::string model;
    std::string version;
    /// Leaves out single requests, keys and values, and stages: their times would undo
    /// masking.padding.
    bool coarse = false;
  };
  /// The parts must outlive this object.
  LiveFeed(Parts parts, Options options) : parts_(parts), options_(std::move(options)) {}

  /// One JSON object, in one line.
  std::string snapshot() const;
  /// Server-sent events until the viewer leaves or close(). Must not outlive this object.
  /// @throws ApiError (503) if enough watch already
  HttpResponse::Stream watch();
  /// Ends what watch() gave out.
  void close();

private:
  class Viewer;
  bool closed_within_a_second();

  const Parts parts_;
  const Options options_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::atomic<std::size_t> viewers_{0};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool closed_ = false;
};

} // namespace talaria::gateway
