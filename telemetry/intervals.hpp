#pragma once

#include <span>
#include <vector>

#include "core/integers.hpp"

namespace talaria::telemetry {

/// Time from `begin` to `end`, in ns.
struct Interval {
  i64 begin = 0;
  i64 end = 0;
  friend bool operator==(const Interval&, const Interval&) = default;
};

/// The same time in order and without overlaps; empty intervals vanish.
std::vector<Interval> merged(std::vector<Interval> intervals);
/// Of intervals that do not overlap.
i64 total_length(std::span<const Interval> intervals) noexcept;

/// Who was at work when: finds the time in which anybody but a given one was.
class Activity {
public:
  struct Work {
    u64 who = 0;
    Interval when;
  };
  explicit Activity(std::span<const Work> work);

  /// The parts of `window` during which somebody else than `who` worked.
  std::vector<Interval> of_others(u64 who, Interval window) const;

private:
  struct Stretch {
    Interval when;
    u64 sole = 0; ///< who worked, if it was one
    bool several = false;
  };
  std::vector<Stretch> stretches_; ///< in order of time
};

} // namespace talaria::telemetry
