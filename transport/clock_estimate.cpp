#include "transport/clock_estimate.hpp"

#include <algorithm>
#include <vector>

namespace talaria::transport {

void ClockEstimate::add(std::chrono::nanoseconds round_trip, std::chrono::nanoseconds theirs,
                        std::chrono::nanoseconds ours) {
  // In double: the other end's clock is any number it likes, and a difference could overflow.
  const double offset =
      static_cast<double>(theirs.count()) - static_cast<double>((ours - round_trip / 2).count());
  samples_[count_++ % samples_.size()] = {static_cast<double>(round_trip.count()) * 1e-6,
                                          offset * 1e-6};
}

double ClockEstimate::round_trip_ms() const {
  const std::size_t n = std::min(count_, samples_.size());
  if (n == 0) return 0;
  std::vector<double> sorted;
  for (std::size_t i = 0; i < n; ++i) sorted.push_back(samples_[i].round_trip_ms);
  std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(n / 2),
                   sorted.end());
  return sorted[n / 2];
}

double ClockEstimate::offset_ms() const {
  const auto end =
      samples_.begin() + static_cast<std::ptrdiff_t>(std::min(count_, samples_.size()));
  const auto best = std::min_element(samples_.begin(), end, [](const Sample& a, const Sample& b) {
    return a.round_trip_ms < b.round_trip_ms;
  });
  return best == end ? 0 : best->offset_ms;
}

} // namespace talaria::transport
