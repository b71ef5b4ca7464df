#pragma once

#include <array>
#include <chrono>
#include <cstddef>

#include "core/integers.hpp"

namespace talaria::transport {

/// What the last heartbeats say about a link: its round trip, and how far the other end's clock is
/// ahead of ours. Not thread-safe.
class ClockEstimate {
public:
  /// One answered beat: it took `round_trip`, and the other end read `theirs` on its clock while
  /// ours stood at `ours` when the answer came (both since 1970).
  void add(std::chrono::nanoseconds round_trip, std::chrono::nanoseconds theirs,
           std::chrono::nanoseconds ours);

  /// Median of the last 31, in ms; 0 before the first.
  double round_trip_ms() const;
  /// Theirs minus ours in ms, from the quickest of the last 31 (the least disturbed, as NTP takes
  /// it); off by at most half its round trip. 0 before the first.
  double offset_ms() const;

private:
  struct Sample {
    double round_trip_ms = 0;
    double offset_ms = 0;
  };
  std::array<Sample, 31> samples_;
  std::size_t count_ = 0; ///< of all samples ever
};

} // namespace talaria::transport
