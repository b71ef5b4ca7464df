#pragma once

#include <cstddef>
#include <limits>
#include <vector>

namespace talaria::planner {

/// The part of simulated time of which utilisation and throughput are told.
struct Window {
  double begin = 0, end = std::numeric_limits<double>::infinity();

  bool contains(double time) const noexcept { return time >= begin && time <= end; }
};

/// One resource of one machine: serves whoever comes first, and does work that was put off while
/// nobody is there.
class Server {
public:
  /// A step that comes at `time`, not before the last one came. `busy` and `later` are those of a
  /// Hop; at most `ahead` seconds may be put off in all, and what exceeds that is done first.
  struct Service {
    double begin = 0;
    double caught_up = 0; ///< seconds of put-off work that had to be done first
  };
  Service serve(double time, double busy, double later, double ahead, const Window& window);
  /// Work of whoever needs no turn: only counted.
  void count(double begin, double seconds, const Window& window);
  /// Seconds within the window for which it worked.
  double busy(const Window& window) const;

private:
  double free_ = 0;    ///< when it has served everybody that came
  double put_off_ = 0; ///< seconds of work that wait for an idle moment behind free_
  double counted_ = 0;
};

} // namespace talaria::planner
