#pragma once

#include <chrono>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/integers.hpp"
#include "gateway/token_times.hpp"

namespace talaria::gateway {

/// The requests under way and the last ones that ended, for whoever looks at a running gateway:
/// times and counts, nothing of any content, and nothing of who asked. Thread-safe.
class LiveRequests {
public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t kKept = 40; ///< that have ended; those under way are all kept

  struct Line {
    u64 id = 0; ///< counted from 1; no name that a client knows
    std::string route;
    u32 answers = 1;
    u64 prompt_tokens = 0; ///< of all prompts
    Clock::time_point arrived;
    std::optional<Clock::time_point> submitted; ///< when the first answer left the queue
    std::optional<Clock::time_point> started;   ///< when its first row was sent; known at the end
    std::optional<Clock::time_point> ended;
    std::string outcome; ///< "stop", "length", "abort" or "error"; empty: under way
    std::shared_ptr<const TokenTimes> tokens;
  };

  /// One request until its end, which it reports itself if nobody does. Must end before the list.
  class Visit {
  public:
    Visit(LiveRequests& list, std::list<Line>::iterator line) : list_(list), line_(line) {}
    ~Visit() { ended("abort", {}); }
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;

    /// Only the first call counts.
    void submitted(Clock::time_point at);
    /// Only the first call counts.
    void ended(const std::string& outcome, std::optional<Clock::time_point> started);

  private:
    LiveRequests& list_;
    const std::list<Line>::iterator line_;
    bool over_ = false;
  };

  /// `line.id` is given here.
  std::unique_ptr<Visit> enter(Line line);
  /// The newest first.
  std::vector<Line> lines() const;

private:
  mutable std::mutex mutex_;
  u64 last_id_ = 0;
  std::list<Line> under_way_; ///< the newest first
  std::list<Line> ended_;     ///< the one that ended last first
};

} // namespace talaria::gateway
